"""Files over REST: a job's champion and pictures, and data that people upload."""

import hashlib
import json
import math
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from search.fetching import FILES, champion_folder
from tests.search.api.served import Served, listening
from tests.search.api.stories import SPEC, TOLD, begin, end
from tests.search.api.world import refused
from tests.search.conftest import add_job, train


def put(served: Served, name: str = "walks.npz", data: Any = b"walks") -> Any:
    return served.ask("PUT", f"/data/{name}", data=data)


def folder(served: Served) -> Path:
    return served.home.data / "uploads"


class TestArtifacts:
    def test_a_finished_job_has_every_file_of_its_model(self, told: Served) -> None:
        assert told.get(f"/jobs/{TOLD}/artifacts") == list(FILES)

    @pytest.mark.parametrize("name", FILES)
    def test_a_file_comes_as_it_is(self, told: Served, name: str) -> None:
        answer = told.ask("GET", f"/jobs/tiny/artifacts/{name}")
        assert answer.status_code == 200
        assert answer.content == (champion_folder(told.home, TOLD) / name).read_bytes()
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'

    def test_a_file_that_no_model_has(self, told: Served) -> None:
        answer = told.ask("GET", f"/jobs/{TOLD}/artifacts/model.exe")
        refused(answer, 404, "not-found", f"a model has the files {', '.join(FILES)}")

    @pytest.mark.parametrize("path", ["", "/README.md", "/nothing"])
    def test_a_job_without_a_champion(self, served: Served, path: str) -> None:
        begin(served)
        answer = served.ask("GET", f"/jobs/tiny/artifacts{path}")
        refused(answer, 409, "not-possible", "is running and has no champion yet")

    def test_a_champion_that_lost_a_file_is_none(self, served: Served) -> None:
        lease, study = begin(served)
        study.shut()
        end(served, lease)
        (champion_folder(served.home, TOLD) / "config.json").unlink()
        answer = served.ask("GET", "/jobs/tiny/artifacts")
        refused(answer, 409, "not-possible", "has no champion yet")


class TestFigures:
    @pytest.mark.parametrize(
        ("name", "title"), [("history", "Best so far"), ("curves", "Learning curves")]
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
        for name in ("history", "curves"):
            json.dumps(served.get(f"/jobs/{TOLD}/figures/{name}"), allow_nan=False)

    def test_a_picture_that_there_is_none_of(self, told: Served) -> None:
        answer = told.ask("GET", f"/jobs/{TOLD}/figures/parallel")
        refused(answer, 404, "not-found", "the figures are history, curves")

    def test_a_job_that_has_not_begun(self, served: Served) -> None:
        add_job(served.store, SPEC, status="queued", supervised=True)
        answer = served.ask("GET", f"/jobs/{TOLD}/figures/history")
        refused(answer, 409, "not-possible", f"job {TOLD} has no trials yet")

    def test_a_job_that_has_begun_and_has_no_trial(self, served: Served) -> None:
        begin(served)
        assert "data" in served.get(f"/jobs/{TOLD}/figures/curves")


class TestUploads:
    def test_there_are_none_at_first(self, served: Served) -> None:
        assert served.get("/data") == []

    def test_a_file_is_kept_listed_and_deleted(self, served: Served) -> None:
        data = bytes(range(256)) * 5000
        answer = put(served, data=data)
        kept = answer.json()
        assert answer.status_code == 201
        assert (kept["name"], kept["size_bytes"]) == ("walks.npz", len(data))
        assert kept["sha256"] == hashlib.sha256(data).hexdigest()
        assert (folder(served) / "walks.npz").read_bytes() == data
        assert put(served, "a.csv", b"").json()["size_bytes"] == 0
        assert [one["name"] for one in served.get("/data")] == ["a.csv", "walks.npz"]
        assert served.get("/data")[1] == kept
        answer = served.ask("DELETE", "/data/walks.npz")
        assert (answer.status_code, answer.json()) == (200, {"deleted": "walks.npz"})
        assert [one["name"] for one in served.get("/data")] == ["a.csv"]
        assert [path.name for path in folder(served).iterdir()] == ["a.csv"]

    def test_a_file_in_pieces_of_no_announced_length(self, served: Served) -> None:
        answer = put(served, data=iter([b"a" * 70_000, b"b", b"c" * 70_000]))
        assert answer.json()["size_bytes"] == 140_001

    def test_a_name_that_is_taken_keeps_its_file(self, served: Served) -> None:
        put(served)
        refused(put(served, data=b"other"), 409, "exists", "there is a data file walks.npz already")
        assert [path.read_bytes() for path in folder(served).iterdir()] == [b"walks"]

    def test_of_many_at_once_one_wins_and_its_file_is_whole(self, served: Served) -> None:
        bodies = [bytes([number]) * 200_000 for number in range(8)]
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda body: put(served, data=body), bodies))
        assert sorted(one.status_code for one in answers) == [201] + [409] * 7
        (winner,) = [place for place, one in enumerate(answers) if one.status_code == 201]
        assert [path.read_bytes() for path in folder(served).iterdir()] == [bodies[winner]]

    def test_a_client_that_goes_away_leaves_nothing(self, served: Served) -> None:
        host, port = served.url.removeprefix("http://").split(":")
        with listening() as log:
            with socket.create_connection((host, int(port))) as connection:
                connection.sendall(
                    b"PUT /api/v1/data/part.npz HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                    b"Content-Length: 1000000\r\n\r\n" + b"x" * 5000
                )
            assert log.next().getMessage() == "PUT /api/v1/data/part.npz: 499"
        assert list(folder(served).iterdir()) == []
        assert put(served, "part.npz").status_code == 201

    def test_what_is_not_there_cannot_be_deleted(self, served: Served) -> None:
        answer = served.ask("DELETE", "/data/walks.npz")
        refused(answer, 404, "not-found", "there is no data file walks.npz")

    @pytest.mark.parametrize("name", ["a", "A.b-c_d", "0", "a..b", "a" * 128, "x.tar.gz"])
    def test_names_that_files_may_have(self, served: Served, name: str) -> None:
        assert put(served, name).json()["name"] == name
        assert served.ask("DELETE", f"/data/{name}").status_code == 200

    def test_folders_and_foreign_files_are_not_listed(self, served: Served) -> None:
        put(served)
        (folder(served) / "inner").mkdir()
        (folder(served) / ".part").write_text("x")
        (folder(served) / "a b").write_text("x")
        assert [one["name"] for one in served.get("/data")] == ["walks.npz"]
        refused(served.ask("DELETE", "/data/inner"), 404, "not-found", "no data file inner")
        refused(put(served, "inner"), 409, "exists", "already")
