"""Watches over workers that say nothing."""

import math
import re
import time
from collections.abc import Mapping

import ray
from ray.tune.experiment import Trial

from search.common.trial import DIED
from search.driver.tuning import actor_of

GRACE_S = 60.0
"""How long a worker may be silent beyond the limit of an epoch, in which it starts and reports.
A worker that hangs ends itself at the limit; one that is frozen or cut off cannot."""


class Watch:
    """When each attempt at a trial was last heard of.

    Args:
        limit_s: what an epoch may take.
    """

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self.heard: dict[int, float] = {}

    def hear(self, number: int) -> None:
        """Note that a trial has begun or reported."""
        self.heard[number] = time.monotonic()

    def forget(self, number: int) -> None:
        """Forget an attempt at a trial that has ended."""
        self.heard.pop(number, None)

    def end_frozen(self, placed: Mapping[int, Trial], now: float) -> None:
        """Kill workers that have been silent for too long; Tune then tells of their loss."""
        for number, trial in placed.items():
            actor = actor_of(trial)
            if actor is None:
                self.heard[number] = now  # it waits for its place, which may take long
            elif self.limit_s + GRACE_S < now - self.heard.get(number, now) < math.inf:
                self.heard[number] = -math.inf  # it is silent for good
                ray.kill(actor)

    def told(self, number: int, reason: str) -> str:
        """Return why an attempt was lost: Ray only knows that a worker that took too long died."""
        silent_s = time.monotonic() - self.heard.get(number, math.inf)
        if silent_s < self.limit_s or not re.search(DIED, reason):
            return reason
        return f"no epoch ended within {self.limit_s:g} s, the limit workers.epoch_limit_s"
