"""Drivers that a cluster keeps."""

from unittest.mock import Mock

import pytest
import requests

from search.service.rayjobs import RayJob


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
