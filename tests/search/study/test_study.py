"""One suite of what a study promises, run on every database that it may live in."""

import json
import math

import pytest
from optuna.study import StudyDirection
from optuna.trial import TrialState
from sqlalchemy import select

from search.common.trial import Verdict
from search.database.lease import Lease, LeaseLostError
from search.database.recorded import trials_of
from search.database.store import Store, StoreError
from search.database.tables import PARENT, Job, JournalRow, Run
from search.study.study import JobStudy
from tests.search.conftest import end_others
from tests.search.study.conftest import BASELINE, metrics, reopen, run_trial


class TestOnEveryDatabase:
    def test_numbers_have_no_gaps_and_the_budget_is_exact(self, study: JobStudy) -> None:
        numbers = [run_trial(study, 0.5 + i / 100) for i in range(6)]
        assert numbers == list(range(6))
        assert study.ask() is None
        assert study.done
        assert study.best == (5, 0.55)

    def test_a_trial_goes_on_in_the_precision_that_it_began_in(
        self, study: JobStudy, opened: Store, lease: Lease
    ) -> None:
        live = study.ask()
        assert live is not None
        assert live.settings()["precision"] == "auto"
        live.precision = "bfloat16"
        study.report(0, 1, metrics(0.5), "running")
        again = reopen(opened, lease)
        (live,) = again.waiting
        again.shut()
        assert live.settings() == live.config.model_dump() | {"precision": "bfloat16"}
        with opened.session() as session:
            assert session.get_one(Run, (study.name, 0)).precision == "bfloat16"

    def test_a_trial_names_its_worker_while_it_runs(self, study: JobStudy, opened: Store) -> None:
        live = study.ask()
        assert live is not None
        for epoch, worker in enumerate(("one", "one", "two"), start=1):
            live.worker = worker
            study.report(live.number, epoch, metrics(0.5), "running")
            with opened.session() as session:
                run = session.get_one(Run, (study.name, live.number))
            assert (run.worker, run.status, run.ended_ms) == (worker, "RUNNING", None)

    def test_optuna_reads_the_value_of_each_epoch_as_last_told(
        self, study: JobStudy, opened: Store
    ) -> None:
        live = study.ask()
        assert live is not None
        for epoch, value in enumerate((0.5, math.inf, -math.inf), start=1):
            study.report(live.number, epoch, metrics(value), "running")
        live.acknowledged = 0
        study.report(live.number, 1, metrics(0.7), "running")
        study.report(live.number, 4, {}, "diverged")
        (trial,) = study.storage.optuna.get_all_trials(study.study_id)
        assert [repr(v) for _, v in sorted(trial.intermediate_values.items())] == [
            "0.7", "inf", "-inf", "nan",
        ]  # fmt: skip

    def test_a_trial_is_written_as_optuna_writes_it(self, study: JobStudy) -> None:
        number = run_trial(study, 0.5)
        optuna = study.storage.optuna
        (ours,) = optuna.get_all_trials(study.study_id)
        other = optuna.create_new_study([StudyDirection.MAXIMIZE], "other")
        theirs = optuna.get_trial(optuna.create_new_trial(other, ours))
        assert (ours.number, ours.state, ours.value) == (number, TrialState.COMPLETE, 0.5)
        assert ours.datetime_start is not None
        assert ours.datetime_complete is not None
        assert ours.datetime_complete >= ours.datetime_start
        theirs._trial_id = ours._trial_id
        assert ours == theirs

    def test_the_epoch_that_ends_a_trial_ends_it_in_one_transaction(
        self, study: JobStudy, opened: Store, lease: Lease
    ) -> None:
        live = study.ask()
        assert live is not None
        before = self.revision(opened, lease)
        study.report(live.number, 1, metrics(0.5), "diverged")
        assert self.revision(opened, lease) == before + 1
        with opened.session() as session:
            run = session.get_one(Run, (study.name, live.number))
            assert (run.status, run.revision) == ("FAILED", before + 1)
        (trial,) = study.storage.optuna.get_all_trials(study.study_id)
        assert trial.state is TrialState.PRUNED
        assert trial.user_attrs["diverged"]

    @staticmethod
    def revision(store: Store, lease: Lease) -> int:
        with store.session() as session:
            return session.get_one(Job, lease.job_id).revision

    def test_a_connection_that_broke_while_nothing_happened_is_made_anew(
        self, study: JobStudy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        live = study.ask()
        assert live is not None
        if study.storage.dialect == "postgresql":
            end_others(study.storage.optuna.engine)
        monkeypatch.setattr("search.database.storage.IDLE_S", 0.0)
        assert study.report(live.number, 1, metrics(0.5), "running") is Verdict.CONTINUE

    def test_a_reported_epoch_is_in_the_journal_once(self, study: JobStudy, opened: Store) -> None:
        live = study.ask()
        assert live is not None
        study.report(live.number, 1, metrics(0.5), "running")
        study.report(live.number, 1, metrics(0.9), "running")
        with opened.session() as session:
            rows = session.scalars(select(JournalRow).where(JournalRow.trial == 0)).all()
        assert [json.loads(row.metrics)["val_accuracy"] for row in rows] == [0.5]

    def test_restart_goes_on_with_the_same_trial(
        self, study: JobStudy, opened: Store, lease: Lease
    ) -> None:
        run_trial(study, 0.6)
        live = study.ask()
        assert live is not None
        study.report(live.number, 1, metrics(0.4), "running")
        again = reopen(opened, lease)
        taken = again.ask()
        assert taken is not None
        assert (taken.number, taken.acknowledged) == (1, 1)
        assert (taken.config, taken.seed) == (live.config, live.seed)
        assert again.best == (0, 0.6)
        again.shut()

    def test_restart_samples_what_the_first_driver_would_have(
        self, study: JobStudy, opened: Store, lease: Lease
    ) -> None:
        run_trial(study, 0.6)
        again = reopen(opened, lease)
        sampled = again.ask()
        assert sampled is not None
        again.requeue(sampled.number)
        undisturbed = study.mirror.draw(1)
        assert undisturbed is not None
        assert study.spec.config(undisturbed.params, {}) == sampled.config
        again.shut()

    def test_an_end_that_was_not_written_is_written_on_restart(
        self, study: JobStudy, opened: Store, lease: Lease, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # As a driver of an earlier version leaves it, which died in between.
        monkeypatch.setattr(study, "ending", lambda *_: [])
        monkeypatch.setattr(study, "ended_with", lambda *_: None)
        run_trial(study, 0.7)
        again = reopen(opened, lease)
        assert again.best == (0, 0.7)
        assert again.ended == {0: "complete"}
        again.shut()

    def test_pruned_and_diverged_trials_are_told_as_pruned(
        self, opened: Store, lease: Lease
    ) -> None:
        study = reopen(opened, lease, "pruner={name: successive-halving, min_resource: 1}")
        run_trial(study, 0.9)
        run_trial(study, 0.1)
        live = study.ask()
        assert live is not None
        study.report(live.number, 1, {"train_loss": math.nan}, "diverged")
        assert study.ended == {0: "complete", 1: "pruned", 2: "diverged"}
        states = [t.state for t in study.storage.optuna.get_all_trials(study.study_id)]
        assert states == [TrialState.COMPLETE, TrialState.PRUNED, TrialState.PRUNED]
        with opened.session() as session:
            runs = session.scalars(select(Run).order_by(Run.trial)).all()
        assert [(run.status, run.tag) for run in runs] == [
            ("FINISHED", None),
            ("KILLED", "pruned"),
            ("FAILED", "diverged"),
        ]
        study.shut()

    def test_a_damaged_row_is_named(self, study: JobStudy, opened: Store, lease: Lease) -> None:
        run_trial(study, 0.6)
        with opened.session() as session:
            session.get_one(JournalRow, (study.name, 0, 2)).metrics = "[0.6]"
        with pytest.raises(StoreError, match="row of epoch 2 of trial 0 of tiny-0001 is damaged"):
            reopen(opened, lease)

    def test_outranked_trials_are_named_once(self, opened: Store, lease: Lease) -> None:
        study = reopen(opened, lease, "confirm.top=2", fixed=(BASELINE,))
        for value in (0.1, 0.5, 0.7, 0.6, 0.7):
            run_trial(study, value)
        assert study.leaders.outranked() == [1, 3]
        assert study.leaders.outranked() == []
        study.shut()

    def test_baselines_come_first_and_are_never_pruned(self, opened: Store, lease: Lease) -> None:
        study = reopen(
            opened,
            lease,
            "pruner={name: successive-halving, min_resource: 1}",
            fixed=(BASELINE, BASELINE),
        )
        live = study.ask()
        assert live is not None
        assert (live.baseline, live.config.batch_size) == (True, 32)
        study.requeue(live.number)
        run_trial(study, 0.9)
        run_trial(study, 0.1)
        assert study.ended == {0: "complete", 1: "complete"}
        study.shut()

    def test_a_driver_that_lost_its_lease_writes_nothing(
        self, study: JobStudy, opened: Store, lease: Lease
    ) -> None:
        live = study.ask()
        assert live is not None
        lease.release()
        Lease(opened, lease.job_id).acquire()
        with pytest.raises(LeaseLostError, match="taken over by another driver"):
            study.report(live.number, 1, metrics(0.5), "running")
        with pytest.raises(LeaseLostError, match="taken over by another driver"):
            study.ask()
        with opened.session() as session:
            assert session.scalars(select(JournalRow)).all() == []
            assert len(session.scalars(select(Run)).all()) == 1
            assert [trial.epochs for trial in trials_of(session, study.name)] == [()]

    def test_the_parent_run_follows_the_best_value(self, study: JobStudy, opened: Store) -> None:
        for value in (0.5, 0.4, 0.6):
            run_trial(study, value)
        with opened.session() as session:
            rows = session.scalars(
                select(JournalRow).where(JournalRow.trial == PARENT).order_by(JournalRow.epoch)
            ).all()
        assert [json.loads(row.metrics)["best_val_accuracy"] for row in rows] == [0.5, 0.5, 0.6]
