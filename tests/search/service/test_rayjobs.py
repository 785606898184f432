"""Drivers that a cluster keeps."""

import socket
from pathlib import Path
from unittest.mock import Mock

import pytest
import requests

from search.common.home import Home
from search.common.versions import SETTING
from search.driver.cluster import ClusterError
from search.service.rayjobs import Client, RayJob, RayJobs


@pytest.mark.parametrize("error", [ConnectionError, requests.ConnectionError])
def test_whether_a_job_has_ended_is_not_known_while_nobody_answers(error: type[Exception]) -> None:
    client = Mock()
    client.get_job_status.side_effect = error("refused")
    with pytest.raises(ClusterError, match="Ray does not answer: refused"):
        RayJob(client, "x").ended()


@pytest.mark.parametrize(
    ("error", "ended"),
    [
        (RuntimeError("503: try later"), False),
        (RuntimeError("404: job x does not exist"), True),
    ],
)
def test_a_job_has_ended_once_the_cluster_has_forgotten_it(error: Exception, ended: bool) -> None:
    client = Mock()
    client.get_job_status.side_effect = error
    assert RayJob(client, "x").ended() is ended


def test_a_cluster_that_has_fallen_silent_is_not_waited_for_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("search.service.rayjobs.SILENCE_S", 0.1)
    monkeypatch.setattr(Client, "_check_connection_and_version", lambda *_, **__: None)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = Client(f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(ClusterError, match=r"Ray does not answer: .*timed out"):
            RayJob(client, "x").ended()


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
