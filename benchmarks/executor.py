"""Trials that run nowhere: an executor in this process, behind the hooks by which Tune asks."""

import socket
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler

from benchmarks.sleeper import metrics_at
from search.driver.engine import Engine
from search.driver.tuning import StudyScheduler, StudySearcher, StudyStopper


@dataclass
class Running:
    """A trial in its turn."""

    trial: Trial
    config: dict[str, Any]
    worker: int
    epochs: int
    """How many it has."""
    epoch: int = 0


class Executor:
    """Holds so many trials live, each of which reports when its turn comes.

    Args:
        engine: of the study.
        live: how many trials at once.
        epochs: of a trial. The first ones have fewer, as if they had begun at different times.
    """

    def __init__(self, engine: Engine, live: int, epochs: int) -> None:
        self.engine = engine
        engine.most = sys.maxsize  # there is no Tune that could be started afresh
        self.searcher = StudySearcher(engine)
        self.scheduler = StudyScheduler(engine)
        self.stopper = StudyStopper(engine)
        self.live = live
        self.epochs = epochs
        self.turns: deque[Running] = deque()
        self.started = 0
        self.starting_s = 0.0
        """Seconds that the engine took to start trials."""
        self.reporting_s = 0.0
        """Seconds that the engine took for results and the ends that follow, without deletions."""

    def fill(self) -> None:
        """Start the first trials."""
        with uncounted(self.live):
            for worker in range(self.live):
                # None ends in the first round: a worker counts once it has reported.
                self.start(worker, 2 + worker % (self.epochs - 1))

    def run(self, results: int) -> None:
        """Take so many results, a new trial following each one that ends."""
        with uncounted(self.live):
            for _ in range(results):
                turn = self.turns.popleft()
                if self.report(turn) == TrialScheduler.CONTINUE:
                    self.turns.append(turn)
                else:
                    self.start(turn.worker, self.epochs)

    def start(self, worker: int, epochs: int) -> None:
        """Start a trial on a worker, as Tune does in a round of its loop."""
        trial = Trial("simulated", stub=True)
        began = time.perf_counter()
        config = self.searcher.suggest(trial.trial_id)
        assert isinstance(config, dict), self.engine.fault
        self.scheduler.on_trial_add(None, trial)
        self.starting_s += time.perf_counter() - began
        trial.set_status(Trial.RUNNING)
        self.started += 1
        self.turns.append(Running(trial, config, worker, epochs))

    def report(self, turn: Running) -> str:
        """Report an epoch, as Tune does in a round of its loop; return what is to follow."""
        turn.epoch += 1
        metrics = metrics_at(turn.config["number"], turn.epoch)
        result = {
            "hostname": socket.gethostname(),
            "pid": turn.worker,
            "damaged": (),
            "precision": "float32",
            "machine": "{}",
            "epoch": turn.epoch,
            "outcome": "complete" if turn.epoch == turn.epochs else "running",
            # Flat, as Tune passes them on.
            **{f"metrics/{name}": value for name, value in metrics.items()},
        }
        began = time.perf_counter()
        assert not self.stopper.stop_all(), self.engine.fault
        word = self.scheduler.on_trial_result(None, turn.trial, result)
        if word == TrialScheduler.STOP:
            self.searcher.on_trial_complete(turn.trial.trial_id, result)
        self.reporting_s += time.perf_counter() - began
        assert self.engine.fault is None, self.engine.fault
        return word


@contextmanager
def uncounted(live: int) -> Iterator[None]:
    """Tell the engine of so many slots without a Ray."""
    with patch("search.driver.engine.node_resources", lambda: [{"CPU": float(live)}]):
        yield
