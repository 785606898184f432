"""Random interleavings of all that happens to a study, against what a simple model remembers."""

import math
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from optuna.trial import TrialState
from sqlalchemy import Connection, select

from search.lease import Lease
from search.outbox import read_epoch
from search.store import PARENT, JournalRow, Run, Store
from search.study import JobStudy
from search.trial import MLFLOW_STATUS, LiveTrial, Verdict
from tests.search.conftest import add_job, make_spec, open_study

TRIALS = 5
EPOCHS = 3
SPEC = make_spec(
    f"budget.trials={TRIALS}",
    f"training.epochs={EPOCHS}",
    "sampler=random",
    "pruner={name: successive-halving, reduction_factor: 2}",
)


class CrashError(Exception):
    """The driver dies here."""


class FragileLease(Lease):
    """Lets the driver die at one of its next commits, just before it."""

    fuse: int | None = None

    def check(self, connection: Connection) -> None:
        """Burn the fuse."""
        super().check(connection)
        if self.fuse is not None:
            self.fuse -= 1
            if self.fuse < 0:
                self.fuse = None
                raise CrashError


class StudyMachine(RuleBasedStateMachine):
    """The model: what the study acknowledged to its caller must be there ever after."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.store = Store.open(f"sqlite:///{Path(self.folder.name) / 'gatetune.db'}")
        self.lease = FragileLease(self.store, add_job(self.store, SPEC))
        self.lease.acquire()
        self.reported: dict[tuple[int, int], float] = {}
        self.ended: dict[int, str] = {}
        self.asked: set[int] = set()
        self.fuse: int | None = None
        self.study: JobStudy

    @initialize()
    def start(self) -> None:
        """Open the study for the first time."""
        self.study = open_study(self.store, self.lease, SPEC)

    @contextmanager
    def perhaps_dying(self) -> Iterator[None]:
        """Let the next driver start where this one dies, if the fuse burns down here."""
        self.lease.fuse, self.fuse = self.fuse, None
        try:
            yield
        except CrashError:
            self.crash()
        finally:
            self.lease.fuse = None

    @rule()
    def ask(self) -> None:
        """Start a trial."""
        with self.perhaps_dying():
            live = self.study.ask()
            if live is not None:
                self.asked.add(live.number)

    @rule(pick=st.integers(0, 9), value=st.floats(0, 1), diverged=st.integers(0, 9))
    def report(self, pick: int, value: float, diverged: int) -> None:
        """Report the next epoch of a live trial."""
        if (live := self.pick(pick)) is None:
            return
        epoch = live.acknowledged + 1
        outcome = "complete" if epoch == EPOCHS else "running"
        outcome = "diverged" if diverged == 0 else outcome
        with self.perhaps_dying():
            metrics = {"val_accuracy": value, "val_loss": 1 - value}
            verdict = self.study.report(live.number, epoch, metrics, outcome)
            self.reported[live.number, epoch] = math.nan if outcome == "diverged" else value
            if verdict is not Verdict.CONTINUE:
                self.ended[live.number] = verdict.value

    @rule(pick=st.integers(0, 9))
    def report_again(self, pick: int) -> None:
        """Report an epoch that is known, with another value."""
        live = self.pick(pick)
        if live is not None and live.acknowledged:
            metrics = {"val_accuracy": 0.123, "val_loss": 0.877}
            again = self.study.report(live.number, live.acknowledged, metrics, "running")
            assert again is Verdict.CONTINUE

    @rule(pick=st.integers(0, 9), reason=st.sampled_from(["lost", "MemoryError", "[Errno 28] No space left on device"]))  # fmt: skip  # noqa: E501
    def lose(self, pick: int, reason: str) -> None:
        """Lose the worker of a live trial."""
        if (live := self.pick(pick)) is not None:
            with self.perhaps_dying():
                if not self.study.fail(live.number, reason):
                    self.ended[live.number] = "failed"

    @rule(pick=st.integers(0, 9))
    def requeue(self, pick: int) -> None:
        """Put a live trial back."""
        if (live := self.pick(pick)) is not None:
            with self.perhaps_dying():
                self.study.requeue(live.number)

    @rule()
    def crash(self) -> None:
        """Start the next driver where this one died."""
        self.study.shut()
        self.study = open_study(self.store, self.lease, SPEC)
        assert not self.study.live
        for number, how in self.study.ended.items():
            assert self.ended.setdefault(number, how) == how

    @rule(commits=st.integers(0, 3))
    def light_the_fuse(self, commits: int) -> None:
        """Let the driver die at a commit of its next step."""
        self.fuse = commits

    def pick(self, pick: int) -> LiveTrial | None:
        """Return one of the live trials."""
        live = sorted(self.study.live)
        return self.study.live[live[pick % len(live)]] if live else None

    @invariant()
    def nothing_is_lost_and_nothing_is_there_twice(self) -> None:
        """Compare the database with what was acknowledged."""
        if not hasattr(self, "study"):
            return
        trials = self.study.storage.optuna.get_all_trials(self.study.study_id)
        assert [t.number for t in trials] == list(range(len(trials)))
        assert len(trials) <= TRIALS
        assert self.asked <= {t.number for t in trials}
        with self.store.session() as session:
            rows = session.scalars(select(JournalRow).where(JournalRow.trial != PARENT)).all()
            runs = {run.trial: run for run in session.scalars(select(Run))}
        journal = {(row.trial, row.epoch): read_epoch(row) for row in rows}
        for key, value in self.reported.items():
            found = journal[key][0]["val_accuracy"]
            assert math.isnan(value) or found == value
        epochs = Counter(trial for trial, _ in journal)
        for trial in trials:
            steps = sorted(trial.intermediate_values)
            assert steps == list(range(1, epochs[trial.number] + 1))
            assert trial.number in runs
        for number, how in self.ended.items():
            trial, run = trials[number], runs[number]
            assert trial.state.is_finished()
            expected = "FAILED" if how == "failed" else MLFLOW_STATUS[Verdict(how)]
            assert run.status == expected
            if how == "complete":
                assert trial.value == max(trial.intermediate_values.values())

    def teardown(self) -> None:
        """Let the last driver finish: exactly the budgeted trials, all of them ended."""
        if hasattr(self, "study"):
            self.crash()
            while (live := self.study.ask()) is not None:
                while live.number in self.study.live:
                    epoch = live.acknowledged + 1
                    outcome = "complete" if epoch == EPOCHS else "running"
                    metrics = {"val_accuracy": 0.5, "val_loss": 0.5}
                    self.study.report(live.number, epoch, metrics, outcome)
            assert self.study.done
            trials = self.study.storage.optuna.get_all_trials(self.study.study_id)
            assert [t.number for t in trials] == list(range(TRIALS))
            assert {t.state for t in trials} <= {
                TrialState.COMPLETE,
                TrialState.PRUNED,
                TrialState.FAIL,
            }
            self.nothing_is_lost_and_nothing_is_there_twice()
            self.study.shut()
        self.store.close()
        self.folder.cleanup()


TestStudy = StudyMachine.TestCase
TestStudy.settings = settings(
    max_examples=25,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
