"""Ray Tune over a study, with workers that do what workers must survive."""

import gc
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event
from unittest.mock import patch

import pytest
from optuna.trial import FrozenTrial, TrialState
from ray.tune.experiment import Trial

from search.common.signals import Interrupted
from search.common.trial import LiveTrial, Proposal, Verdict
from search.database.lease import Lease
from search.database.store import Store
from search.document.sections import Workers
from search.document.spec import JobSpec
from search.driver.cluster import cluster, same_environment
from search.driver.engine import Engine, UnworkableError
from search.driver.packing import Packing
from search.driver.stage import Stage
from search.study.cost import TYPICAL
from search.study.study import JobStudy
from tests.search.conftest import make_spec
from tests.search.scripted import Recorder, Scripted
from trainables.folder import FolderError, LocalFolder


@pytest.fixture(scope="module")
def local_ray() -> Iterator[None]:
    with cluster(None, cpus=2, gpus=1), same_environment():
        yield


Make = Callable[..., tuple[Engine, JobStudy, Recorder]]


@pytest.fixture
def make(
    local_ray: None,
    store: Store,
    owned: Callable[[Store, JobSpec], Lease],
    tmp_path: Path,
) -> Iterator[Make]:
    studies: list[JobStudy] = []
    leases: list[Lease] = []

    def build(
        *overrides: str, should_stop: Callable[[], bool] = lambda: False, **script: str
    ) -> tuple[Engine, JobStudy, Recorder]:
        spec = make_spec("training.epochs=2", *overrides)
        leases[:] = leases or [owned(store, spec)]
        study = JobStudy(
            store,
            leases[0],
            spec,
            name=leases[0].job_id,
            fixed=[],
            trials=spec.budget.trials,
            searching=True,
        )
        studies.append(study)
        recorder = Recorder()
        engine = Engine(
            iter([Stage(study, LocalFolder(tmp_path / "checkpoints"))]),
            trainable=Scripted,
            data={"folder": str(tmp_path)} | script,
            packing=Packing(spec, TYPICAL),
            scratch=tmp_path / "scratch",
            observer=recorder,
            should_stop=should_stop,
            elapsed_s=lambda: 0.0,
        )
        return engine, study, recorder

    yield build
    for study in studies:
        study.shut()


def trials(study: JobStudy) -> list[FrozenTrial]:
    return study.storage.optuna.get_all_trials(study.study_id)


def states(study: JobStudy) -> list[TrialState]:
    return [trial.state for trial in trials(study)]


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


def test_a_full_disk_ends_the_run_and_loses_nothing(make: Make) -> None:
    engine, _, _ = make("budget.trials=3", full="1")
    with pytest.raises(UnworkableError, match=r"the disk of .*checkpoints is full; no trial is"):
        engine.run()
    again, resumed, _ = make("budget.trials=3", full="1")
    again.run()
    assert states(resumed) == [TrialState.COMPLETE] * 3
    assert [t.user_attrs["lost_after"] for t in trials(resumed) if t.number == 1] == [[]]


def test_a_store_that_goes_away_ends_the_run_and_loses_nothing(make: Make) -> None:
    engine, _, _ = make("budget.trials=3", away="1")
    with pytest.raises(FolderError, match=r"^s3://bucket/x cannot be used: no answer$"):
        engine.run()
    again, resumed, _ = make("budget.trials=3", away="1")
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


def test_a_job_without_room_waits_and_goes_on_once_there_is(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.driver.engine.POLL_S", 0.01)
    engine, study, _ = make("budget.trials=3")
    asked: list[tuple[int, int, int]] = []

    def share(fit: int, wanted: int, used: int) -> int:
        asked.append((fit, wanted, used))
        if len(asked) <= 5:
            assert not trials(study), "nothing is asked for that has no room"
            return 0
        return 1

    engine.share = share
    engine.run()
    assert states(study) == [TrialState.COMPLETE] * 3
    assert asked[:5] == [(2, 2, 0)] * 5
    assert max(used for _, _, used in asked) == 1
    assert asked[-1][1] == 1, "the last trial needs no more than one place"


@pytest.mark.timeout(60)
def test_a_job_whose_room_is_taken_between_two_trials_goes_on_once_it_has_some(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.driver.engine.POLL_S", 0.0)
    engine, study, _ = make("budget.trials=2", "workers.concurrent=1")
    without: list[int] = []

    def share(fit: int, wanted: int, used: int) -> int:
        if len(study.ended) == 1 and not used and len(without) < 5:
            without.append(used)
            return 0
        return wanted

    engine.share = share
    engine.run()
    assert len(without) == 5
    assert states(study) == [TrialState.COMPLETE] * 2


def test_a_job_without_room_can_be_stopped(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.driver.engine.POLL_S", 0.01)
    engine, study, _ = make()
    engine.share = lambda fit, wanted, used: 0
    looks = iter([False, False, True])
    engine.should_stop = lambda: next(looks)
    with pytest.raises(Interrupted):
        engine.run()
    assert not trials(study)


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


def test_half_a_gpu_a_trial_shares_one(make: Make, tmp_path: Path) -> None:
    engine, _, _ = make("budget.trials=2", "workers.gpus=0.5")
    engine.run()
    assert [(tmp_path / f"gpu-{n}").read_text() for n in (0, 1)] == ["0", "0"]


def test_trials_share_a_gpu_by_the_memory_that_one_has_told(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.driver.engine.POLL_S", 0.0)
    engine, study, recorder = make("workers.gpus=auto")
    with patch.object(engine, "fit", wraps=engine.fit) as fit:
        engine.run()
    # Of 8,000 MB, 7,200 are given away: three times 2,000 with what CUDA takes would not fit.
    assert recorder.gpus == [0.25, 0.5]
    assert recorder.rooms == [2, 2]
    assert fit.call_count == 2
    assert states(study) == [TrialState.COMPLETE] * 6


def test_trials_that_wait_for_gpus_that_are_gone_run_on_processors(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.driver.engine.POLL_S", 0.0)
    monkeypatch.setattr("search.driver.engine.slots", lambda *_: 2)
    engine, study, _ = make("workers.gpus=auto")
    two, none = (engine.spec.workers.model_copy(update={"gpus": gpus}) for gpus in (2, 0))

    def workers(_: object) -> Workers:
        """As where a second GPU goes when a trial was asked for: this Ray has one."""
        return none if engine.asked or fit.call_count > 1 else two

    monkeypatch.setattr(engine.packing, "workers", workers)
    with patch.object(engine, "fit", wraps=engine.fit) as fit:
        engine.run()
    assert fit.call_count == 2
    assert states(study) == [TrialState.COMPLETE] * 6


def test_an_epoch_of_a_gpu_that_is_gone_teaches_nothing(make: Make) -> None:
    engine, study, _ = make("workers.gpus=auto", gone="yes")
    engine.run()
    assert states(study) == [TrialState.COMPLETE] * 6
    assert engine.packing.seen_mb == 0
