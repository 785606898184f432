"""What repairs are made with: the installation, the lease, and MLflow once it is needed."""

from dataclasses import dataclass
from functools import cached_property

from optuna.storages import RDBStorage

from search.common.home import Home
from search.database.lease import Lease
from search.database.store import Store
from search.database.tables import Job, Run, RunKey
from search.tracking.handover import Delivery
from search.tracking.tracking import Tracking
from search.upkeep.doctor.record import Record


@dataclass
class Hands:
    """Access to one job whose lease is ours."""

    home: Home
    store: Store
    optuna: RDBStorage
    lease: Lease

    @property
    def job_id(self) -> str:
        """The job."""
        return self.lease.job_id

    @cached_property
    def name(self) -> str:
        """The job's name, which its experiment and its model bear."""
        with self.store.session() as session:
            return session.get_one(Job, self.job_id).name

    @cached_property
    def record(self) -> Record:
        """The job, as it is once its studies are mended; read once, however many rows follow."""
        return Record.read(self.store, self.optuna, self.job_id)

    @cached_property
    def tracking(self) -> Tracking:
        """MLflow, with the job's experiment, which is made or taken back where it is missing."""
        return Tracking(self.home, self.job_id, self.name)

    def deliver(self) -> None:
        """Deliver what waits, and look at what MLflow shows then."""
        Delivery(self.store, self.job_id, self.lease.owner, self.tracking).finish()

    def row(self, key: RunKey) -> Run:
        """Return what MLflow shall be told of a run."""
        with self.store.session() as session:
            return session.get_one(Run, key)

    def run_id(self, key: RunKey) -> str:
        """Return the id of a run that MLflow has.

        Raises:
            ValueError: it is not delivered.
        """
        run_id = self.row(key).run_id
        if run_id is None:
            raise ValueError("its run is not delivered yet")
        return run_id
