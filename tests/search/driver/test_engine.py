"""Ray Tune over a study, with workers that do what workers must survive."""

import gc
import os
import sys
from dataclasses import replace
from pathlib import Path
from threading import Event
from unittest.mock import patch

import pytest
from optuna.trial import TrialState
from ray.tune.experiment import Trial

from search.common.signals import Interrupted
from search.common.trial import LiveTrial, Proposal, Verdict
from search.database.store import Store
from search.driver.engine import UnworkableError
from search.driver.stage import Stage
from search.study.study import JobStudy
from tests.search.driver.conftest import Make, states, trials
from trainables.folder import FolderError, LocalFolder


def test_trials_begin_in_workers_that_a_local_ray_has_ready(make: Make, tmp_path: Path) -> None:
    make("budget.trials=1")[0].run()

    # Only what asks for an environment of its own needs a new process.
    assert (tmp_path / "environment").read_text() == "{}"


def test_tune_does_not_import_mlflow_to_count_callbacks(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = "ray.air.integrations.mlflow"
    monkeypatch.delitem(sys.modules, counted, raising=False)
    make("budget.trials=1")[0].run()
    assert counted not in sys.modules


def test_runs_the_whole_budget_however_often_tune_is_started_afresh(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.driver.engine.TRIALS_A_FIT", 1)
    monkeypatch.setattr("search.driver.engine.ROUNDS_A_FIT", 2)  # of two workers
    engine, study, recorder = make()
    with patch.object(engine, "fit", wraps=engine.fit) as fit:
        engine.run()
    assert fit.call_count == 2
    assert states(study) == [TrialState.COMPLETE] * 6
    assert recorder.epochs == 12
    assert recorder.rooms == [2]
    assert os.environ["TUNE_MAX_PENDING_TRIALS_PG"] == "16"  # a large cluster is filled at once
    assert study.best == (5, 0.552)


def test_the_next_study_runs_on_the_workers_that_are_there(
    make: Make, store: Store, tmp_path: Path
) -> None:
    engine, study, recorder = make("budget.trials=2", meet="each other")
    proposal = Proposal({"cell": "gru", "hidden_size": 8, "learning_rate": 0.01}, {}, seed=1)
    again = JobStudy(
        store,
        study.storage.lease,
        study.spec,
        name="again",
        fixed=[proposal] * 4,
        trials=4,
        searching=False,
    )
    engine.stage = replace(engine.stage, keeps_workers=True)
    engine.stages = iter([Stage(again, LocalFolder(tmp_path / "again"))])
    with patch.object(engine, "fit", wraps=engine.fit) as fit:
        engine.run()
    assert fit.call_count == 1
    assert states(study) == [TrialState.COMPLETE] * 2
    assert states(again) == [TrialState.COMPLETE] * 4
    assert len(engine.workers) == 2
    assert recorder.rooms == [2, 2]
    again.shut()


def test_tune_keeps_no_trial_that_has_ended(make: Make) -> None:
    engine, study, recorder = make("budget.trials=12", "training.epochs=1", "workers.concurrent=2")
    kept: list[int] = []

    def count(live: LiveTrial, metrics: dict[str, float], verdict: Verdict) -> None:
        gc.collect()
        kept.append(sum(type(one) is Trial for one in gc.get_objects()))

    gc.freeze()  # all that is there already, through which to look takes seconds each time
    try:
        with patch.object(recorder, "reported", count):
            engine.run()
    finally:
        gc.unfreeze()
    assert states(study) == [TrialState.COMPLETE] * 12
    assert max(kept) <= 5  # two that run, two that wait, and one that ends


def test_files_are_deleted_while_other_trials_go_on(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, study, recorder = make("budget.trials=4", "confirm.top=1")
    begun, gone_on, clear = Event(), Event(), LocalFolder.clear

    def clear_late(folder: LocalFolder) -> None:
        begun.set()
        assert gone_on.wait(20)
        clear(folder)

    def reported(*_: object) -> None:
        if begun.is_set():
            gone_on.set()

    monkeypatch.setattr(LocalFolder, "clear", clear_late)
    monkeypatch.setattr(recorder, "reported", reported)
    for number in range(4):
        LocalFolder(tmp_path / f"checkpoints/{number:06d}").write("best.pt", b"weights")
    engine.run()
    assert states(study) == [TrialState.COMPLETE] * 4
    assert LocalFolder(tmp_path / "checkpoints").names() == ["000003"]


def test_a_store_that_refuses_to_delete_ends_the_run(make: Make) -> None:
    engine, study, _ = make("budget.trials=200", "training.epochs=1", "confirm.top=1")
    refuse = patch.object(LocalFolder, "clear", side_effect=FolderError("access denied"))
    with refuse, pytest.raises(FolderError, match="access denied"):
        engine.run()
    assert TrialState.RUNNING not in states(study)
    assert len(states(study)) < 200


def test_a_dead_worker_costs_an_attempt_and_no_trial(make: Make) -> None:
    engine, study, recorder = make("budget.trials=3", die="1")
    engine.run()
    assert states(study) == [TrialState.COMPLETE] * 3
    assert [(number, again) for number, _, again in recorder.losses] == [(1, True)]


def test_a_frozen_worker_is_ended_and_its_trial_goes_on(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.driver.watch.GRACE_S", 0.0)
    engine, study, recorder = make("budget.trials=3", "workers.epoch_limit_s=10", freeze="1")
    engine.run()
    assert states(study) == [TrialState.COMPLETE] * 3
    said = "no epoch ended within 10 s, the limit workers.epoch_limit_s"
    assert recorder.losses == [(1, said, True)]


@pytest.mark.parametrize(
    ("script", "error", "message"),
    [
        ("full", UnworkableError, r"the disk of .*checkpoints is full; no trial is"),
        ("away", FolderError, r"^s3://bucket/x cannot be used: no answer$"),
        ("unable", UnworkableError, r"^precision bfloat16 needs another processor$"),
    ],
)
def test_what_is_wrong_with_a_machine_ends_the_run_and_loses_nothing(
    make: Make, script: str, error: type[Exception], message: str
) -> None:
    engine, _, _ = make("budget.trials=3", **{script: "1"})
    with pytest.raises(error, match=message):
        engine.run()
    again, resumed, _ = make("budget.trials=3", **{script: "1"})
    again.run()
    assert states(resumed) == [TrialState.COMPLETE] * 3
    assert [t.user_attrs["lost_after"] for t in trials(resumed) if t.number == 1] == [[]]


def test_a_job_whose_every_trial_fails_ends_early_and_says_why(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.study.study.FAILURES", 2)
    engine, study, recorder = make("budget.trials=20", "workers.concurrent=1", **{"raise": "all"})
    with pytest.raises(
        UnworkableError, match=r"2 trials in a row failed .*: ValueError: trial \d+ cannot be"
    ):
        engine.run()
    assert [number for number, _, _ in recorder.losses] == [0, 0, 1, 1, 0, 1]
    assert states(study) == [TrialState.FAIL] * 2


def test_a_damaged_checkpoint_is_told_and_remembered(make: Make) -> None:
    engine, study, recorder = make("budget.trials=1", "training.epochs=1", damage="yes")
    engine.run()
    assert recorder.losses == [(0, "epoch-000001.pt is damaged", True)]
    assert trials(study)[0].user_attrs["damaged"] == "epoch-000001.pt is damaged"


def test_a_trial_that_always_raises_is_failed_with_its_traceback(make: Make) -> None:
    engine, study, recorder = make("budget.trials=3", **{"raise": "1"})
    engine.run()
    assert states(study) == [TrialState.COMPLETE, TrialState.FAIL, TrialState.COMPLETE]
    assert [again for _, _, again in recorder.losses] == [True, True, False]
    trial = study.storage.optuna.get_all_trials(study.study_id)[1]
    assert "ValueError: trial 1 cannot be trained" in trial.user_attrs["reason"]


def test_a_stopped_run_is_finished_by_the_next(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.driver.engine.POLL_S", 0.0)  # the trials are shorter than a pause
    engine, study, recorder = make()
    engine.should_stop = lambda: recorder.epochs >= 3
    with pytest.raises(Interrupted):
        engine.run()
    assert not study.live
    assert TrialState.RUNNING not in states(study)
    again, resumed, _ = make()
    again.run()
    assert states(resumed) == [TrialState.COMPLETE] * 6


def test_an_error_in_a_callback_ends_the_run_and_is_raised(make: Make) -> None:
    engine, study, recorder = make()

    def broken(live: LiveTrial, metrics: dict[str, float], verdict: Verdict) -> None:
        raise OSError("the disk is full")

    recorder.reported = broken  # type: ignore[method-assign]
    with pytest.raises(OSError, match="the disk is full"):
        engine.run()
    assert TrialState.RUNNING not in states(study)


def test_spent_hours_end_the_search(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.driver.engine.POLL_S", 0.0)
    engine, study, recorder = make("budget.hours=1.0")
    engine.elapsed_s = lambda: 3601.0 if recorder.epochs else 0.0
    engine.run()
    assert study.closed == "hours"
    assert len(states(study)) < 6
    assert set(study.ended.values()) <= {"complete", "budget"}


def test_hours_that_pass_at_the_end_have_not_ended_the_search(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.driver.engine.POLL_S", 0.0)
    engine, study, _ = make("budget.hours=1.0")
    engine.run()
    engine.elapsed_s = lambda: 3601.0
    engine.poll()
    assert study.closed is None
