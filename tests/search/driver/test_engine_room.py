"""What a job does with the room that it has: places among other jobs, and GPUs."""

from itertools import chain, repeat
from pathlib import Path
from unittest.mock import patch

import pytest
from optuna.trial import TrialState

from search.common.signals import Interrupted
from search.document.sections import Workers
from tests.search.driver.conftest import Make, states, trials


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


def test_a_job_whose_hours_end_waits_for_no_room(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.driver.engine.POLL_S", 0.01)
    engine, study, _ = make("budget.hours=1.0")
    engine.share = lambda fit, wanted, used: 0
    elapsed = chain([0.0, 0.0, 0.0], repeat(3601.0))
    engine.elapsed_s = lambda: next(elapsed)
    engine.run()
    assert study.closed == "hours"
    assert not trials(study)


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
