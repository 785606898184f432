"""What a driver that died leaves behind: its job's status, its lease, its delivery process."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

from search.common.home import Home
from search.common.processes import birth
from search.database.lease import described, drop_lease, is_dead
from search.database.store import Store
from search.database.tables import Job
from search.upkeep.doctor.finding import Finding
from search.upkeep.doctor.record import UNREADABLE, Record
from search.upkeep.doctor.steps import DropLease, EndProcess, StopJob


def examine_leftovers(home: Home, record: Record, now: float) -> Iterator[Finding]:
    """Yield what is left of drivers; the job is known to have none that lives."""
    job = record.job
    if job.status == "running" and not job.is_wanted:
        yield Finding(
            "driver-dead", "job", "the job says that it is running, but its driver died", StopJob()
        )
    elif job.status not in {"queued", "running", "stopped", "failed", "finished"}:
        yield Finding("status-unknown", "job", f"the job's status is {job.status!r}")
    if job.lease_owner is not None:
        yield Finding("lease-left", "job", lease_line(job, now), DropLease())
    for pid, command in deliveries(home, job.id):
        yield Finding(
            "process-left",
            f"process {pid}",
            f"it delivers for a driver that is gone: {command}",
            EndProcess(pid, birth(pid)),
        )


def lease_line(job: Job, now: float) -> str:
    """Return who still holds a job's lease."""
    owner = job.lease_owner or ""
    if not names_driver(job):
        return f"the lease names {owner!r}, which is no driver"
    dead, who = is_dead(owner), described(owner, job.lease_until - now)
    return f"a driver that {'has ended' if dead else 'is silent'} still holds the lease{who}"


def names_driver(job: Job) -> bool:
    """Whether a job's lease can be read."""
    try:
        is_dead(job.lease_owner or "")
        described(job.lease_owner, job.lease_until)
    except UNREADABLE:
        return False
    return True


def free_lease(store: Store, job_id: str) -> None:
    """Free a lease that cannot be read, which no driver can take or release."""
    with store.session() as session:
        job = session.get_one(Job, job_id)
        if job.lease_owner is not None and not names_driver(job):
            drop_lease(session, job_id, job.lease_owner)


def deliveries(home: Home, job_id: str) -> Iterator[tuple[int, str]]:
    """Yield the delivery processes of a job of this installation on this machine."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
            settings = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue  # it has ended, or is another person's
        ours = f"GATETUNE_HOME={home.path}".encode() in settings
        delivers = words[1:4] == ["-m", "search.tracking.courier", job_id]
        if ours and delivers and birth(int(folder.name)):
            yield int(folder.name), " ".join(words).strip()


def end_process(pid: int, born: str) -> None:
    """Kill a process, unless its number is another's by now."""
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return  # it has ended
    try:
        if birth(pid) == born:
            signal.pidfd_send_signal(handle, signal.SIGKILL)
    finally:
        os.close(handle)
