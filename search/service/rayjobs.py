"""Drivers as Ray Jobs: processes that a Ray cluster keeps, whatever becomes of the supervisor."""

import json
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from ray.job_submission import JobStatus, JobSubmissionClient

from search.common.home import Home
from search.common.limits import TRIALS
from search.common.logs import last_words
from search.common.texts import first_line
from search.common.versions import SETTING, versions
from search.driver.cluster import ClusterError

logger = logging.getLogger("gatetune.supervisor")

TROUBLE = (ConnectionError, RuntimeError, requests.RequestException)
"""What Ray's client raises where the cluster does not answer, or knows no such job."""

SILENCE_S = 30.0
"""How long a cluster may take to answer."""

TAKING_S = 300.0
"""How long it may take to take a job, with this package."""

PACKAGES = ("search", "trainables")


class Client(JobSubmissionClient):
    """Ray's own, which waits without an end for a cluster that has fallen silent."""

    def _do_request(self, method: str, *given: Any, **settings: Any) -> requests.Response:
        patience_s = SILENCE_S if method == "GET" else TAKING_S
        return super()._do_request(method, *given, timeout=patience_s, **settings)


@dataclass
class RayJob:
    """A driver that was handed to a cluster."""

    client: JobSubmissionClient
    submission_id: str

    def ended(self) -> bool:
        """Whether it has ended, or the cluster has forgotten it.

        Raises:
            ClusterError: nobody answers; the job's lease says whether it lives.
        """
        try:
            status: JobStatus = self.client.get_job_status(self.submission_id)
        except (ConnectionError, requests.RequestException) as error:
            raise ClusterError(f"Ray does not answer: {first_line(error)}") from error
        except RuntimeError as error:
            return "does not exist" in str(error)
        return bool(status.is_terminal())

    def last_words(self) -> str:
        """Return the last that it said."""
        try:
            return last_words(self.client.get_job_logs(self.submission_id))
        except TROUBLE as error:
            return first_line(error)


class RayJobs:
    """Hands drivers to the Ray cluster whose dashboard is at an address.

    This package is shipped to the cluster with each of them, so that its workers have the same
    version. The settings of the installation are those of the cluster's nodes: a database's
    password is no part of what Ray shows. The limits of trials are the service's.

    Args:
        home: the installation.
        address: of the dashboard, such as http://ray-head:8265.
    """

    def __init__(self, home: Home, address: str) -> None:
        self.home = home
        self.address = address
        self.client: JobSubmissionClient | None = None

    @property
    def own_ray(self) -> bool:
        """A cluster is of many machines."""
        return False

    def ready(self) -> None:
        """Make sure that the cluster answers.

        Raises:
            ClusterError: it does not, or is of another version of Ray.
        """
        if self.client is not None:
            return
        try:
            self.client = Client(self.address)
        except (*TROUBLE, ValueError) as error:
            raise ClusterError(
                f"no Ray answers at RAY_ADDRESS={self.address}: {first_line(error)}"
            ) from error

    def start(self, job_id: str, claim: str) -> RayJob:
        """Hand a driver to the cluster.

        Raises:
            ClusterError: the cluster does not take it.
        """
        if self.client is None:
            raise ClusterError(f"no Ray answers at RAY_ADDRESS={self.address}")
        root = Path(__file__).parents[2]
        try:
            submission_id = self.client.submit_job(
                entrypoint=f"python -m search.service.drive {job_id} {claim}",
                submission_id=f"gatetune-{job_id}-{claim.rsplit(':', 1)[1]}",
                runtime_env={
                    "py_modules": [
                        str(root / name)
                        for name in PACKAGES
                        if (root / name / "__init__.py").exists()
                    ],
                    "env_vars": {SETTING: json.dumps(versions())} | trial_limits(),
                },
                metadata={"gatetune.job": job_id},
            )
        except TROUBLE as error:
            self.client = None
            raise ClusterError(
                f"Ray at {self.address} took no driver: {first_line(error)}"
            ) from error
        return RayJob(self.client, submission_id)

    def close(self) -> None:
        """Leave the drivers to the cluster: their leases tell the next supervisor of them."""


def trial_limits() -> dict[str, str]:
    """Return the limits that drivers keep, of this process; an empty one is none at all."""
    return {name: os.environ.get(name, "") for name in TRIALS}
