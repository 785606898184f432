"""How much of an installation its jobs may use at once, in all and by owner."""

import os
from dataclasses import dataclass

from search.common.home import SettingsError

TRIALS = ("GATETUNE_MAX_TRIALS", "GATETUNE_MAX_TRIALS_PER_OWNER")
"""The settings that drivers keep; the service keeps those of jobs."""


@dataclass(frozen=True)
class Limits:
    """The most jobs and trials at once; None for no limit."""

    jobs: int | None = None
    owner_jobs: int | None = None
    trials: int | None = None
    owner_trials: int | None = None

    @classmethod
    def from_environment(cls) -> "Limits":
        """Read the settings.

        Raises:
            SettingsError: one is no whole number of at least 1.
        """
        return cls(
            jobs=count("GATETUNE_MAX_JOBS"),
            owner_jobs=count("GATETUNE_MAX_JOBS_PER_OWNER"),
            trials=count(TRIALS[0]),
            owner_trials=count(TRIALS[1]),
        )

    @property
    def most_jobs(self) -> int | None:
        """Jobs at once: a running job has at least one trial."""
        return least(self.jobs, self.trials)

    @property
    def most_owner_jobs(self) -> int | None:
        """The same, of one owner."""
        return least(self.owner_jobs, self.owner_trials)


def least(*limits: int | None) -> int | None:
    """Return the lowest of the limits that are set."""
    return min((limit for limit in limits if limit is not None), default=None)


def count(setting: str, default: int | None = None) -> int | None:
    """Return the whole number that an environment setting holds.

    Raises:
        SettingsError: it holds something else.
    """
    given = os.environ.get(setting)
    if not given:
        return default
    if not given.isdecimal() or int(given) < 1:
        raise SettingsError(f"{setting} must be a whole number of at least 1, but got {given!r}")
    return int(given)
