"""What Tune is told of workers, without a Ray."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock, patch

import pytest
from ray import tune
from ray.tune.experiment import Trial
from ray.tune.search import Searcher
from ray.tune.utils.object_cache import _ObjectCache

from search.database.lease import Lease
from search.database.store import Store
from search.document.spec import JobSpec
from search.driver.engine import Engine
from search.driver.packing import Packing
from search.driver.stage import Stage
from search.driver.tuning import ANY_NUMBER, StudyScheduler
from search.study.cost import TYPICAL
from search.study.study import JobStudy
from tests.search.conftest import make_spec
from trainables.folder import LocalFolder


@pytest.fixture
def engine(
    store: Store, owned: Callable[[Store, JobSpec], Lease], tmp_path: Path
) -> Iterator[Engine]:
    spec = make_spec("budget.trials=3", "training.epochs=1", "pruner=none")
    lease = owned(store, spec)
    study = JobStudy(store, lease, spec, name=lease.job_id, fixed=[], trials=3, searching=True)
    with patch("search.driver.engine.node_resources", lambda: [{"CPU": 2.0}]):
        yield Engine(
            iter([Stage(study, LocalFolder(tmp_path), keeps_workers=True)]),
            trainable=tune.Trainable,
            data=None,
            packing=Packing(spec, TYPICAL),
            scratch=tmp_path / "scratch",
            observer=Mock(),
            should_stop=lambda: False,
            elapsed_s=lambda: 0.0,
        )
    study.shut()


@pytest.mark.parametrize(
    ("reason", "kept"), [("MemoryError", 0), ("ValueError: not now", ANY_NUMBER)]
)
def test_no_worker_waits_beside_a_trial_that_needs_all_memory(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, reason: str, kept: int
) -> None:
    monkeypatch.setattr("search.driver.tuning.reason_of", lambda _: reason)  # no worker wrote one
    scheduler, cache = StudyScheduler(engine), _ObjectCache()
    controller = SimpleNamespace(_actor_cache=cache)
    lost, another = (Trial("scripted", stub=True) for _ in range(2))
    for trial in (lost, another):
        assert isinstance(engine.suggest(trial.trial_id), dict)
        scheduler.on_trial_add(controller, trial)
        assert cache.total_max_objects == (kept if trial is another else ANY_NUMBER)
        if trial is lost:
            scheduler.on_trial_error(controller, trial)
            assert cache.total_max_objects == kept


def test_without_its_workers_the_next_study_waits_for_a_fit_of_its_own(engine: Engine) -> None:
    another = engine.stage
    engine.stages = iter([another])
    engine.stage = replace(engine.stage, keeps_workers=False)
    engine.study.close("hours")
    assert engine.suggest("any") == Searcher.FINISHED
    assert next(engine.stages) is another


def test_it_is_told_when_no_trial_is_left_to_start(engine: Engine) -> None:
    last = Mock()
    engine.stage = replace(engine.stage, when_last=last)
    engine.workers.update({("here", 1), ("here", 2)})
    for trials, told in ((3, False), (2, True)):
        engine.study.trials, engine.next_poll = trials, 0.0
        engine.poll()
        assert last.called is told
