"""A study on every database that it may live in."""

from collections.abc import Callable, Iterator

import pytest

from search.common.trial import Proposal, Verdict
from search.database.lease import Lease
from search.database.store import Store
from search.document.spec import JobSpec
from search.study.study import JobStudy
from tests.search.conftest import make_spec

BASELINE = Proposal({"cell": "gru", "hidden_size": 8, "learning_rate": 0.01}, {"batch_size": 32},
                    attrs={"baseline": True})  # fmt: skip


def metrics(value: float) -> dict[str, float]:
    return {"val_accuracy": value, "val_loss": 1 - value}


@pytest.fixture
def lease(opened: Store, owned: Callable[[Store, JobSpec], Lease]) -> Lease:
    return owned(opened, make_spec())


@pytest.fixture
def study(opened: Store, lease: Lease) -> Iterator[JobStudy]:
    made = reopen(opened, lease)
    yield made
    made.shut()


def reopen(
    store: Store, lease: Lease, *overrides: str, fixed: tuple[Proposal, ...] = ()
) -> JobStudy:
    spec = make_spec(*overrides)
    return JobStudy(
        store,
        lease,
        spec,
        name=lease.job_id,
        fixed=fixed,
        trials=spec.budget.trials,
        searching=True,
    )


def run_trial(study: JobStudy, value: float) -> int:
    live = study.ask()
    assert live is not None
    for epoch in range(live.acknowledged + 1, live.config.epochs + 1):
        last = epoch == live.config.epochs
        verdict = study.report(
            live.number, epoch, metrics(value), "complete" if last else "running"
        )
        if verdict is not Verdict.CONTINUE:
            break
    return live.number
