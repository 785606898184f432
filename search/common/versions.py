"""Which versions a job runs on; a cluster's must be those of whoever launches on it."""

import json
import os
import platform
from importlib.metadata import PackageNotFoundError, version

SETTING = "GATETUNE_VERSIONS"
"""Carries a supervisor's versions to the driver that it starts elsewhere."""

COMPARED = ("gatetune", "ray", "torch", "optuna", "mlflow-skinny")


class VersionsError(RuntimeError):
    """A cluster has other versions than the supervisor; names both."""


def versions() -> dict[str, str]:
    """Return the versions of Python, without its last number, and of what a job depends on."""
    python = ".".join(platform.python_version_tuple()[:2])
    return {"python": python} | {name: installed(name) for name in COMPARED}


def installed(name: str) -> str:
    """Return the version of a package that is installed, else "none"."""
    try:
        return version(name).partition("+")[0]
    except PackageNotFoundError:
        return "none"


def check_versions() -> None:
    """Make sure that this process has the versions of the supervisor that started it.

    Raises:
        VersionsError: it has not.
    """
    wanted: dict[str, str] = json.loads(os.environ.get(SETTING, "{}"))
    here = versions()
    other = [
        f"{name} {here.get(name)} there, {wanted[name]} here"
        for name in wanted
        if here.get(name) != wanted[name]
    ]
    if other:
        raise VersionsError(f"the Ray cluster has other versions: {'; '.join(other)}")
