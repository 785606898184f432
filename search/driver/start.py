"""Start and go on with jobs in this process: what the commands and ``search.launch`` do."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import requests
from rich.console import Console

from search.common.background import in_background
from search.common.faults import SpecError
from search.common.home import Home, SettingsError
from search.common.processes import user
from search.common.texts import first_line
from search.database.jobrow import JobRow
from search.database.lease import Lease
from search.database.store import Store
from search.database.tables import Job
from search.document.document import as_launched, read_text
from search.document.spec import JobSpec, read_job
from search.driver.progress import Progress
from search.driver.shares import whole
from search.jobs import jobs
from search.jobs.loading import check_same_data, check_source, describe_data, load_data, of_job
from search.study.warming import with_earlier_jobs
from search.winner.fetching import champion_folder, is_whole
from trainables.folder import FolderError, folder_at

TRACKING_TIMEOUT_S = 5.0
"""How long an MLflow server may take to say that it is there."""


STARTING = "starting Ray and loading the data"
"""What people read until a job begins."""


class TrackingUnreachableError(RuntimeError):
    """The MLflow server does not answer."""


def check_tracking(home: Home) -> None:
    """Make sure that the tracking server answers, before anything is created.

    Raises:
        TrackingUnreachableError: it does not.
    """
    uri = home.tracking_uri
    if home.embedded_tracking:
        return
    try:
        requests.get(f"{uri.rstrip('/')}/health", timeout=TRACKING_TIMEOUT_S).raise_for_status()
    except requests.RequestException as error:
        raise TrackingUnreachableError(
            f"no MLflow server answers at MLFLOW_TRACKING_URI={home.tracking_address}: "
            f"{first_line(error)}; start one, or unset the variable to keep runs in a file"
        ) from error


def check_database(home: Home) -> None:
    """Make sure that a database can be used, before anything is created.

    Raises:
        StoreError: it cannot.
    """
    if home.database_url.startswith("sqlite"):
        path = Path(home.database_url.removeprefix("sqlite:///"))
        if not path.exists() and (path.parent == home.path or path.parent.is_dir()):
            return
    Store.open(home.database_url).close()


def check_checkpoints(home: Home) -> None:
    """Make sure that an object store takes checkpoints, before anything is created.

    Raises:
        SettingsError: it does not.
    """
    try:
        folder_at(home.checkpoints).check()
    except FolderError as error:
        raise SettingsError(
            f"GATETUNE_CHECKPOINTS must name a bucket that can be written to: {error}"
        ) from error


def check_ray(home: Home) -> None:
    """Make sure that `RAY_ADDRESS`, if set, is of a Ray that this process can join.

    Raises:
        SettingsError: it is that of a dashboard.
    """
    address = home.ray_address
    if address is not None and "://" in address and not address.startswith("ray://"):
        raise SettingsError(
            f"RAY_ADDRESS must be HOST:PORT of a cluster that this machine is a node of, but got "
            f"{address!r}; `gatetune up` alone hands jobs to a cluster's dashboard"
        )


def launch(
    document: str | Path,
    overrides: Sequence[str] = (),
    *,
    console: Console | None = None,
) -> dict[str, Any]:
    """Run the job of a document in this process and return what ``show`` says of it at the end.

    Args:
        document: path of a job document.
        overrides: ``key=value`` settings that replace the document's.
        console: where progress goes; nowhere by default.

    Raises:
        SpecError: the document is not valid; nothing was created.
        SettingsError, StoreError, ClusterError, DatasetError, TrackingUnreachableError: the
            installation or the data cannot be used; no job was created.
    """
    # Ray and torch take seconds to import, which a mistake in the document should not cost.
    spec = read_job(document, overrides)
    source = as_launched(read_text(Path(document)), overrides)
    home = Home.from_environment()
    home.check()
    check_ray(home)
    check_tracking(home)
    check_database(home)
    check_checkpoints(home)
    spec = started_from(home, spec)
    console = console or Console(quiet=True)
    console.print(f"{time.strftime('%H:%M:%S')}  {STARTING}", highlight=False)
    check_source(spec.data)
    with ray_and_data(spec, home) as shared:
        from search.driver.driver import Driver

        home.create()
        store = Store.open(home.database_url)
        try:
            job_id = jobs.create(
                store,
                spec,
                source,
                owner=user(),
                dataset=describe_data(shared.data),
                shared=home.is_shared,
            )
            with Lease(store, job_id) as lease, Progress(console, job_id, str(home.path)) as told:
                Driver(home, store, lease, spec, shared, told).run()
            return jobs.show(store, jobs.find(store, job_id))
        finally:
            store.close()


def started_from(home: Home, spec: JobSpec) -> JobSpec:
    """Return a document that names the jobs from which it starts by their ids.

    Raises:
        SpecError: one of them is not there.
    """
    if isinstance(spec.warm_start, str):
        return spec
    if not Store.exists(home.database_url):
        raise SpecError([f"warm_start: there are no jobs in {home.path}"])
    with closing(Store.open(home.database_url)) as store:
        return with_earlier_jobs(store, spec)


def resume(key: str, *, console: Console | None = None) -> dict[str, Any]:
    """Go on with a job where it stands, in this process; see :func:`launch`.

    Raises:
        JobNotFoundError: there is no such job.
        NotPossibleError: it is finished.
        SettingsError: its checkpoints cannot be reached.
        LeaseHeldError: another driver runs it.
    """
    home = Home.from_environment()
    store = jobs.open_existing(home)
    console = console or Console(quiet=True)
    try:
        job = jobs.find(store, key)
        jobs.check_resumable(store, job)
        if job.result is None:  # else only its delivery is left
            check_ray(home)
        check_checkpoints(home)
        # Taken before Ray starts: of several resumes all but one end here, at once.
        with Lease(store, job.id) as lease, Progress(console, job.id, str(home.path)) as told:
            # Whoever runs it here ends it here, also where it does not come to begin.
            waits = {"status": "stopped"} if job.status == "queued" else {}
            JobRow(lease).set(supervised=False, **waits)
            go_on(home, store, lease, job, told)
        return jobs.show(store, jobs.find(store, job.id))
    finally:
        store.close()


def go_on(  # noqa: PLR0913 - what a driver is made of
    home: Home,
    store: Store,
    lease: Lease,
    job: Job,
    progress: Progress,
    share: Callable[[int, int, int], int] = whole,
) -> None:
    """Run the driver of a job that exists, without Ray where only its delivery is left."""
    spec = JobSpec.from_json(job.document)
    # What was registered needs no file here: the files that are missing `doctor` restores.
    if job.result is not None and (job.registered or is_whole(champion_folder(home, job.id))):
        from search.driver.driver import Driver

        Driver(home, store, lease, spec, None, progress).run()
        return
    progress.stage(STARTING)
    with ray_and_data(of_job(job, spec, home), home) as shared:
        from search.driver.driver import Driver

        described = describe_data(shared.data)
        if job.dataset is None:
            JobRow(lease).set(dataset=json.dumps(described))
        else:
            check_same_data(job, described)
        Driver(home, store, lease, spec, shared, progress, share).run()


@contextmanager
def ray_and_data(spec: JobSpec, home: Home) -> Iterator[Any]:
    """Join or start Ray, for as long as the block lasts, and load the data into it.

    Raises:
        ClusterError: Ray cannot be reached, or has not what the document asks for.
        DatasetError: the data cannot be used.
    """
    from search.driver.cluster import at_once, check_resources, cluster, may_grow, same_environment

    # Nothing of Ray may be imported here: its modules import each other, which two threads cannot
    # do at once.
    loading = in_background(lambda: load_data(spec, home))
    with (
        cluster(home.ray_address, ahead=at_once(spec)),
        nullcontext() if home.ray_address else same_environment(),
    ):
        from trainables.trial import Shared

        check_resources(spec, wait=may_grow(home.ray_address))
        yield Shared(loading.result())
