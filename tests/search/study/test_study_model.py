"""Random interleavings of all that happens to a study, against what a simple model remembers."""

import math
import sqlite3
import tempfile
from collections import Counter
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)
from optuna.trial import TrialState
from sqlalchemy import Connection, select

from search.common.trial import MLFLOW_STATUS, LiveTrial, Verdict
from search.database.lease import Lease
from search.database.outbox import read_epoch
from search.database.storage import DATABASE_AWAY
from search.database.store import Store
from search.database.tables import PARENT, JournalRow, Run
from search.study.study import JobStudy
from tests.search.conftest import add_job, make_spec, open_study
from tests.search.installations import write_tables
from tests.search.study.conftest import metrics

TRIALS = 4
EPOCHS = 3
SPEC = make_spec(
    f"budget.trials={TRIALS}",
    f"training.epochs={EPOCHS}",
    "sampler=random",
    "pruner={name: successive-halving, min_resource: 1}",
)

REASONS = ("the worker was lost", "MemoryError", "[Errno 28] No space left on device")


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


class FragileWire:
    """Loses the answer to a commit that went through, as a connection that breaks does."""

    def __init__(self) -> None:
        self.fuse: int | None = None

    def attach(self, study: JobStudy) -> None:
        """Stand between a study and its file."""
        dialect = study.storage.optuna.engine.dialect
        commit = dialect.do_commit

        def commit_and_burn(connection: Any) -> None:
            commit(connection)
            self.burn()

        dialect.do_commit = commit_and_burn  # type: ignore[method-assign, assignment]

    def burn(self) -> None:
        """Burn the fuse."""
        if self.fuse is not None:
            self.fuse -= 1
            if self.fuse < 0:
                self.fuse = None
                raise sqlite3.OperationalError("the connection was lost")


class StudyMachine(RuleBasedStateMachine):
    """The model: what the study acknowledged to its caller must be there ever after."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        url = f"sqlite:///{self.folder.name}/gatetune.db"
        write_tables(url)
        self.store = Store(url)
        self.lease = FragileLease(self.store, add_job(self.store, SPEC))
        self.lease.acquire()
        self.reported: dict[tuple[int, int], float] = {}
        self.ended: dict[int, str] = {}
        self.asked: set[int] = set()
        self.wire = FragileWire()
        self.study: JobStudy

    @initialize()
    def start(self) -> None:
        """Open the study for the first time."""
        self.open()

    def open(self) -> None:
        """Open the study as the next driver does."""
        self.study = open_study(self.store, self.lease, SPEC)
        self.wire.attach(self.study)

    @rule(
        action=st.sampled_from(["ask", "report", "report", "report again", "lose", "requeue"]),
        pick=st.integers(0, 3),
        value=st.floats(0, 1),
        diverged=st.sampled_from([False, False, False, True]),
        reason=st.sampled_from(REASONS),
        commits=st.sampled_from([None, None, None, 0, 1, 2]),
        answers=st.sampled_from([None, None, None, 0, 1]),
    )
    def step(  # one rule for all: hypothesis leaves whole rules out of a run
        self,
        action: str,
        pick: int,
        value: float,
        diverged: bool,
        reason: str,
        commits: int | None,
        answers: int | None,
    ) -> None:
        """Do what may happen to a study; die after so many commits of it, unless None.

        Or lose the database, after so many answers to commits.
        """
        live = self.pick(pick)
        self.lease.fuse, self.wire.fuse = commits, answers
        try:
            if live is None or action == "ask":
                self.ask()
            elif action == "report":
                self.report(live, value, diverged=diverged)
            elif action == "report again" and live.acknowledged:
                again = self.study.report(live.number, live.acknowledged, metrics(0.1), "running")
                assert again is Verdict.CONTINUE
            elif action == "lose" and not self.study.fail(live.number, reason):
                self.ended[live.number] = "failed"
            elif action == "requeue":
                self.study.requeue(live.number)
        except (CrashError, *DATABASE_AWAY):
            pass
        self.lease.fuse = self.wire.fuse = None
        if commits is not None or answers is not None:
            self.crash()

    def ask(self) -> None:
        """Start a trial."""
        live = self.study.ask()
        if live is not None:
            self.asked.add(live.number)

    def report(self, live: LiveTrial, value: float, *, diverged: bool) -> None:
        """Report the next epoch of a live trial."""
        epoch = live.acknowledged + 1
        outcome = "complete" if epoch == EPOCHS else "running"
        verdict = self.study.report(
            live.number, epoch, metrics(value), "diverged" if diverged else outcome
        )
        self.reported[live.number, epoch] = math.nan if diverged else value
        if verdict is not Verdict.CONTINUE:
            self.ended[live.number] = verdict.value

    def crash(self) -> None:
        """Start the next driver where this one died."""
        self.study.shut()
        self.open()
        assert not self.study.live
        for number, how in self.study.ended.items():
            assert self.ended.setdefault(number, how) == how

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
            steps_of_job = session.scalars(
                select(JournalRow.epoch).where(JournalRow.trial == PARENT)
            ).all()
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
        over = sum(trial.state.is_finished() for trial in trials)
        assert sorted(steps_of_job) == list(range(1, over + 1))
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
                    self.study.report(live.number, epoch, metrics(0.5), outcome)
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
    max_examples=12,
    stateful_step_count=30,
    phases=[Phase.generate],  # a failure is shrunk for minutes, since each step is on disk
    suppress_health_check=[HealthCheck.too_slow],
)
