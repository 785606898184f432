"""Drivers that a cluster keeps."""

from pathlib import Path
from unittest.mock import Mock

import pytest
import requests

from search.common.home import Home
from search.common.versions import SETTING
from search.service.rayjobs import RayJob, RayJobs


@pytest.mark.parametrize(
    ("error", "ended"),
    [
        (ConnectionError("refused"), False),
        (requests.ConnectionError("refused"), False),
        (RuntimeError("503: try later"), False),
        (RuntimeError("404: job x does not exist"), True),
    ],
)
def test_a_job_has_not_ended_while_nobody_answers(error: Exception, ended: bool) -> None:
    client = Mock()
    client.get_job_status.side_effect = error
    assert RayJob(client, "x").ended() is ended


def test_a_driver_gets_the_limits_of_trials_and_no_secret(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not home.exists()
    monkeypatch.setenv("GATETUNE_MAX_TRIALS", "7")
    monkeypatch.delenv("GATETUNE_MAX_TRIALS_PER_OWNER", raising=False)
    monkeypatch.setenv("GATETUNE_TOKEN", "gt_secret")
    drivers = RayJobs(Home.from_environment(), "http://ray.example:8265")
    drivers.client = client = Mock()
    drivers.start("tiny-0001", "here:1:2:ab")
    sent = client.submit_job.call_args.kwargs["runtime_env"]["env_vars"]
    assert {name: value for name, value in sent.items() if name != SETTING} == {
        "GATETUNE_MAX_TRIALS": "7",
        "GATETUNE_MAX_TRIALS_PER_OWNER": "",
    }
