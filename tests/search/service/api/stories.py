"""Jobs as their drivers leave them, without training: what REST has to tell of."""

import math

from search.database.jobrow import JobRow
from search.database.lease import Lease
from search.study.study import JobStudy
from search.winner.fetching import FILES, champion_folder, replace_champion
from tests.search.conftest import add_job, asked, finish_job, make_spec, open_study, train
from tests.search.service.api.served import Served

TOLD = "tiny-0001"
SPEC = make_spec("budget.trials=4", "space.hidden_size=[8, 16]")


def begin(served: Served, job_id: str = TOLD) -> tuple[Lease, JobStudy]:
    """Write a job that a driver of this process runs."""
    values = {"owner": "ada", "status": "queued"}
    lease = Lease(served.store, add_job(served.store, SPEC, job_id, **values))
    lease.acquire()
    JobRow(lease).begin()
    return lease, open_study(served.store, lease, SPEC)


def end(served: Served, lease: Lease) -> None:
    """Finish a job with its champion's files."""
    folder = champion_folder(served.home, lease.job_id)
    replace_champion(
        folder, {name: f"{name} of {lease.job_id}\0\xff".encode("latin-1") for name in FILES}
    )
    JobRow(lease).end("finished", None)
    finish_job(served.store, lease.job_id)


def tell(served: Served, job_id: str = TOLD) -> str:
    """Write a finished job: two complete trials, a diverged one, one that failed at last."""
    lease, study = begin(served, job_id)
    train(study, 0.5, 0.7, 0.6, 0.65)
    train(study, 0.2, 0.4, 0.6, 0.9)
    live = asked(study)
    study.report(live.number, 1, {"val_accuracy": 0.3, "val_loss": 0.7}, "running")
    study.report(live.number, 2, {"val_accuracy": 0.1, "val_loss": math.nan}, "diverged")
    while study.fail(asked(study).number, "KeyError: 'batch'"):
        pass
    study.shut()
    end(served, lease)
    return job_id
