"""What a job has made, over REST: its best model's files and pictures of its search."""

import json
import math
from dataclasses import replace

import pytest

from search.report.figures import FIGURES
from search.winner.fetching import FILES, champion_folder
from tests.search.conftest import add_job, train
from tests.search.service.api.served import Served
from tests.search.service.api.stories import SPEC, TOLD, begin, end
from tests.search.service.api.world import refused


class TestArtifacts:
    def test_a_finished_job_has_every_file_of_its_model(self, told: Served) -> None:
        assert told.get(f"/jobs/{TOLD}/artifacts") == list(FILES)

    @pytest.mark.parametrize("name", FILES)
    def test_a_file_comes_as_it_is(self, told: Served, name: str) -> None:
        answer = told.ask("GET", f"/jobs/tiny/artifacts/{name}")
        assert answer.status_code == 200
        assert answer.content == champion_folder(told.home, TOLD).read(name)
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'

    def test_a_file_that_no_model_has(self, told: Served) -> None:
        answer = told.ask("GET", f"/jobs/{TOLD}/artifacts/model.exe")
        refused(answer, 404, "not-found", f"the model has the files {', '.join(FILES)}")

    @pytest.mark.parametrize("path", ["", "/README.md", "/nothing"])
    def test_a_job_without_a_champion(self, served: Served, path: str) -> None:
        begin(served)
        answer = served.ask("GET", f"/jobs/tiny/artifacts{path}")
        refused(answer, 409, "not-possible", "is running and has no champion yet")

    def test_a_champion_that_lost_a_file_is_none(self, served: Served) -> None:
        lease, study = begin(served)
        study.shut()
        end(served, lease)
        champion_folder(served.home, TOLD).delete("config.json")
        answer = served.ask("GET", "/jobs/tiny/artifacts")
        refused(answer, 409, "not-possible", "has lost a file of its champion")

    @pytest.mark.parametrize("path", ["", "/README.md"])
    def test_a_store_that_cannot_be_reached(
        self, told: Served, path: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        away = replace(told.home, checkpoints="s3://bucket/x?what=1")
        monkeypatch.setattr(told.service, "home", away)
        answer = told.ask("GET", f"/jobs/{TOLD}/artifacts{path}")
        refused(answer, 409, "not-possible", f"the files of job {TOLD} cannot be reached: s3://b")


class TestReport:
    @pytest.mark.parametrize(
        ("form", "kind", "begins"),
        [
            ("", "text/markdown; charset=utf-8", "# tiny\n"),
            ("?format=markdown", "text/markdown; charset=utf-8", "# tiny\n"),
            ("?format=html", "text/html; charset=utf-8", "<!doctype html>"),
            ("?format=json", "application/json", '{"job": "tiny-0001"'),
        ],
    )
    def test_what_a_job_has_found(self, told: Served, form: str, kind: str, begins: str) -> None:
        answer = told.ask("GET", f"/jobs/tiny/report{form}")
        assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
        assert answer.text.startswith(begins)

    def test_a_job_that_has_found_nothing(self, served: Served) -> None:
        begin(served)
        answer = served.ask("GET", "/jobs/tiny/report")
        refused(answer, 409, "not-possible", "job tiny-0001 is running and has no result to report")
        answer = served.ask("GET", "/jobs/tiny/report?format=pdf")
        assert answer.status_code == 422


class TestFigures:
    @pytest.mark.parametrize(
        ("name", "title"),
        [
            ("history", "Best so far"),
            ("curves", "Learning curves"),
            ("importances", "Importance"),
            ("parallel", "Complete trials"),
        ],
    )
    def test_a_picture_as_plotly_reads_it(self, told: Served, name: str, title: str) -> None:
        figure = told.get(f"/jobs/{TOLD}/figures/{name}")
        assert figure.keys() >= {"data", "layout"}
        assert figure["layout"]["title"]["text"] == title
        assert figure["data"]
        json.dumps(figure, allow_nan=False)

    def test_a_picture_of_an_epoch_that_is_no_number(self, served: Served) -> None:
        _, study = begin(served)
        train(study, 0.5)
        live = study.ask()
        assert live is not None
        study.report(live.number, 1, {"val_accuracy": math.nan, "val_loss": math.inf}, "diverged")
        study.shut()
        for name in FIGURES:
            json.dumps(served.get(f"/jobs/{TOLD}/figures/{name}"), allow_nan=False)

    def test_a_picture_that_there_is_none_of(self, told: Served) -> None:
        answer = told.ask("GET", f"/jobs/{TOLD}/figures/pie")
        refused(answer, 404, "not-found", "the figures are history, curves, importances, parallel")

    def test_a_job_that_has_not_begun(self, served: Served) -> None:
        add_job(served.store, SPEC, status="queued", supervised=True)
        answer = served.ask("GET", f"/jobs/{TOLD}/figures/history")
        refused(answer, 409, "not-possible", f"job {TOLD} has no trials yet")

    def test_a_job_that_has_begun_and_has_no_trial(self, served: Served) -> None:
        begin(served)
        assert "data" in served.get(f"/jobs/{TOLD}/figures/curves")
