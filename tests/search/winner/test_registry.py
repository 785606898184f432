"""The champion: who becomes it, and the model as strangers load it."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
import torch
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from search.common.home import Home
from search.database.result import Gain, Result
from search.database.store import Store
from search.database.tables import PARENT, Run
from search.tracking.tracking import Tracking
from search.winner.champions import CLAIMS_TAG, bearer
from search.winner.models import load_saved
from search.winner.registry import (
    DESCRIPTION,
    MORE,
    Incumbent,
    decide,
    fluent,
    log_model,
    publish,
    shortened,
)
from tests.search.conftest import add_job, make_spec
from tests.search.winners import BETTER, GOOD, JOB, candidate, finish_job, result
from tests.servers import WebServer
from trainables.datasets import SequenceDataset


def incumbent(data: str = "00", metric: str = "val_accuracy") -> Incumbent:
    return Incumbent("3", "tiny-0000", data, metric, "run")


def ahead(probability: float) -> Gain:
    return Gain(value=0.01, low=-0.01, high=0.02, probability=probability)


ONCE = result(candidate(2, 0.9), candidate(0, 0.8, baseline=True)).model_copy(
    update={"chance": None}
)
LOST = result(candidate(2, 0.9, 0.9)).model_copy(update={"lost_baseline": True})
TRIED = GOOD.model_copy(update={"others": (candidate(3, 0.90),)})


@pytest.mark.parametrize(
    ("found", "present", "lead", "alias", "reason"),
    [
        (GOOD, None, "", "champion", "beats the baseline .* no champion before"),
        (
            result(candidate(2, 0.9)),
            None,
            "",
            "champion",
            "there is no baseline, and there was no",
        ),
        (GOOD, incumbent(), ahead(0.98), "champion", "and the present champion, version 3, on the"),
        (GOOD, incumbent(), ahead(0.97), "challenger", "not surely beat the present champion, ver"),
        (
            GOOD,
            incumbent(),
            "a single run is sure of nothing",
            "challenger",
            "the present champion, version 3, cannot be compared with: a single run is sure of",
        ),
        (TRIED, incumbent(), ahead(0.98), "challenger", "not surely beat the present champion"),
        (TRIED, incumbent(), ahead(0.99), "champion", "and the present champion"),
        (GOOD, incumbent(data="11"), ahead(1), "challenger", "other data or another split"),
        (GOOD, incumbent(metric="val_loss"), ahead(1), "challenger", "by val_loss, not val_acc"),
        (
            result(candidate(2, 0.9), candidate(0, 0.8, baseline=True), chance=0.03),
            None,
            "",
            "challenger",
            "does not surely beat the baseline",
        ),
        (LOST, None, "", "challenger", "the baseline did not complete"),
        (ONCE, None, "", "challenger", "a single run is sure of nothing"),
        (
            GOOD.model_copy(update={"chance": None}),
            None,
            "",
            "challenger",
            "a single validation sequence is sure of nothing",
        ),
        (
            result(candidate(0, 0.8, baseline=True), candidate(0, 0.8, baseline=True), chance=1),
            None,
            "",
            "challenger",
            "itself a baseline",
        ),
    ],
)
def test_who_becomes_champion(
    found: Result, present: Incumbent | None, lead: Gain | str, alias: str, reason: str
) -> None:
    given, why = decide(found, "00", present, lambda: lead)
    assert given == alias
    assert re.search(reason, why)


@pytest.fixture
def store(installation: Home) -> Iterator[Store]:
    opened = Store.open(installation.database_url)
    yield opened
    opened.close()


STRANGER = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"search", "trainables"}:
            raise ImportError(name)

sys.meta_path.insert(0, Blocked())
import mlflow, numpy
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model("models:/tiny@champion")
assert model.model_config == {"device": "cpu"}, "where there is a GPU it could not be loaded"
print([model.predict(numpy.zeros((n, 8, 8), "float32")).shape for n in (1, 3, 7)])
"""


def test_the_champion_answers_where_this_project_is_not_installed(
    installation: Home, store: Store, digits: SequenceDataset, tmp_path: Path,
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Publishing once and a half, and again, registers once and prints nothing."""
    walks = list[None]()  # over all that is installed, which takes longer than all else
    monkeypatch.setattr(
        "mlflow.utils.requirements_utils._init_packages_to_modules_map", lambda: walks.append(None)
    )
    folder = finish_job(installation, store, digits, GOOD)
    with store.session() as session:
        run_id = str(session.get_one(Run, (JOB, PARENT)).run_id)
    with fluent(installation.tracking_uri):
        log_model(run_id, folder.child("champion"))  # and there the driver was killed
    published = [publish(installation, store, JOB) for _ in range(2)]
    assert capfd.readouterr() == ("", "")
    assert not walks
    assert {"MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"}.isdisjoint(os.environ)
    assert published[0] == published[1]
    assert published[0] is not None
    assert (published[0]["version"], published[0]["alias"]) == ("1", "champion")
    tracking = Tracking(installation, JOB, "tiny")
    (version,) = tracking.client.search_model_versions("name = 'tiny'")
    assert "GRU" in str(version.description)
    (logged,) = tracking.client.search_logged_models([tracking.experiment_id])
    assert version.source == f"models:/{logged.model_id}"
    run = next(iter(tracking.runs()))
    history = tracking.client.get_metric_history(run.info.run_id, "champion_val_accuracy")
    assert [metric.value for metric in history] == [pytest.approx(0.91)]
    assert "beats the baseline" in run.data.tags["mlflow.note.content"]
    names = {one.path for one in tracking.client.list_artifacts(run.info.run_id)}
    assert names >= {"report.html", "report.md", "job.yaml", "packages.txt", "champion"}
    answer = subprocess.run(
        [sys.executable, "-I", "-W", "ignore", "-c", STRANGER, installation.tracking_uri],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert answer.stdout.strip() == "[(1, 10), (3, 10), (7, 10)]", answer.stderr


def test_a_better_job_takes_the_alias_over_and_a_repeat_of_the_old_one_does_not(
    installation: Home, store: Store, digits: SequenceDataset
) -> None:
    finish_job(installation, store, digits, GOOD)
    publish(installation, store, JOB)
    finish_job(installation, store, digits, BETTER, "tiny-0002")
    taken = publish(installation, store, "tiny-0002")
    publish(installation, store, JOB)
    assert taken is not None
    assert (taken["version"], taken["alias"]) == ("2", "champion")
    client = Tracking(installation, JOB, "tiny").client
    assert int(client.get_model_version_by_alias("tiny", "champion").version) == 2


def test_of_two_jobs_that_end_at_once_the_later_version_is_compared_with_the_other(
    installation: Home, store: Store, digits: SequenceDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish_job(installation, store, digits, GOOD)
    publish(installation, store, JOB)
    finish_job(installation, store, digits, GOOD, "tiny-0002")
    looks: list[int] = []
    seen: list[Incumbent | None] = []

    def too_early(alias: str, versions: list[ModelVersion]) -> ModelVersion | None:
        looks.append(len(versions))  # the first look was before the other was there
        return None if len(looks) == 1 else bearer(alias, versions)

    def told(result: Result, data: str, incumbent: Incumbent | None, lead: Any) -> Any:
        seen.append(incumbent)
        return decide(result, data, incumbent, lead)

    monkeypatch.setattr("search.winner.registry.bearer", too_early)
    monkeypatch.setattr("search.winner.registry.decide", told)
    published = publish(installation, store, "tiny-0002")
    assert published is not None
    assert [one and one.version for one in seen] == [None, "1"]
    assert (published["version"], published["alias"]) == ("2", "challenger")
    client = Tracking(installation, JOB, "tiny").client
    assert CLAIMS_TAG not in client.get_model_version("tiny", "2").tags
    assert int(client.get_model_version_by_alias("tiny", "champion").version) == 1


def test_a_long_card_is_cut_at_the_end_of_a_line() -> None:
    line = "one of very many classes\n"
    card = line * 300
    assert shortened(line) == line
    cut = shortened(card)
    assert DESCRIPTION - 2 * len(line) < len(cut) <= DESCRIPTION
    assert cut.startswith(line * 100)
    assert cut.removesuffix(MORE).endswith(line.rstrip())


def test_a_job_without_a_result_registers_nothing(installation: Home, store: Store) -> None:
    add_job(store, make_spec(), JOB)
    with store.session() as session:
        session.add(
            Run(study=JOB, trial=PARENT, job_id=JOB, name=JOB, parameters="{}", status="RUNNING",
                started_ms=1000)
        )  # fmt: skip
    assert publish(installation, store, JOB) is None
    tracking = Tracking(installation, JOB, "tiny")
    with pytest.raises(MlflowException, match="Registered Model with name=tiny not found"):
        tracking.client.get_registered_model("tiny")


def test_mlflow_serves_the_champion(
    installation: Home, store: Store, digits: SequenceDataset
) -> None:
    folder = finish_job(installation, store, digits, GOOD)
    publish(installation, store, JOB)
    x = digits.test.x[:3].astype(np.float32)
    serve = ("mlflow", "models", "serve", "--model-uri", "models:/tiny@champion")
    server = WebServer(
        *serve, "--env-manager", "local", "--port",
        setting={
            "MLFLOW_TRACKING_URI": installation.tracking_uri,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",  # it calls uvicorn
        },
    )  # fmt: skip
    try:
        asked = f"{server.address}/invocations"
        answer = requests.post(asked, json={"inputs": x.tolist()}, timeout=60)
    finally:
        server.end()
    assert answer.status_code == 200
    model = load_saved(folder.child("champion")).model
    wanted = model(torch.from_numpy(x)).detach().numpy()
    assert np.array(answer.json()["predictions"]) == pytest.approx(wanted, abs=1e-5)
