"""Ray Tune over a study, on a Ray of the tests' own."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from optuna.trial import FrozenTrial, TrialState

from search.database.lease import Lease
from search.database.store import Store
from search.document.spec import JobSpec
from search.driver.cluster import cluster, same_environment
from search.driver.engine import Engine
from search.driver.packing import Packing
from search.driver.stage import Stage
from search.study.cost import TYPICAL
from search.study.study import JobStudy
from tests.search.conftest import make_spec
from tests.search.scripted import Recorder, Scripted
from trainables.folder import LocalFolder


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
