"""Checkpoints and other files of a job: what is needed is whole, what is not needed is gone."""

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from search.doctor.finding import Finding
from search.doctor.record import Record
from search.doctor.steps import Delete
from search.fetching import champion_folder, is_whole
from search.home import Home
from search.retention import complete, top, unreferenced_of_job
from trainables.checkpoint import Checkpoints, DamagedError

JOB_ID = re.compile(r"[a-z0-9_-]{1,64}-(?:[0-9a-f]{4}|[0-9a-f]{8})")
"""What `search.jobs.create` calls a job."""


def examine_files(home: Home, record: Record) -> Iterator[Finding]:
    """Yield what is wrong in the folders of a job."""
    folder = home.checkpoints / record.job.id
    chosen = record.result is not None and is_whole(champion_folder(home, record.job.id))
    unneeded = unreferenced_of_job(
        folder, record.spec, record.searched, record.confirmed, chosen=chosen
    )
    said: set[Path] = set()
    for path in (*unneeded, *of_no_trial(record, folder), *sorted(folder.rglob("*.tmp"))):
        if said.isdisjoint({path, *path.parents}) and not is_lost(record, path, folder):
            said.add(path)
            yield superfluous(path, home)
    scratch = home.path / "scratch" / record.job.id
    if scratch.exists():
        yield Finding("scratch-left", "files", f"a driver left {scratch}", Delete(scratch))
    yield from examine_checkpoints(record, folder)


def of_no_trial(record: Record, folder: Path) -> Iterator[Path]:
    """Yield what lies among the trials' folders and is none of them."""
    for part, trials in (("search", record.searched), ("confirm", record.confirmed)):
        known = {f"{trial.number:06d}" for trial in trials}
        yield from (path for path in sorted((folder / part).glob("*")) if path.name not in known)


def superfluous(path: Path, home: Home) -> Finding:
    """Return that nothing needs a file or folder."""
    temporary = path.name.endswith(".tmp")
    kind = "temporary-file" if temporary else "checkpoint-unreferenced"
    what = "an interrupted write left" if temporary else "no trial needs"
    name = path.relative_to(home.checkpoints) if path.is_relative_to(home.checkpoints) else path
    return Finding(kind, f"file {name}", f"{what} {path}", Delete(path))


def is_lost(record: Record, path: Path, folder: Path) -> bool:
    """Whether files may be all that is left of a trial that the study lost; they are kept."""
    study = record.job.id if path.is_relative_to(folder / "search") else f"{record.job.id}/confirm"
    part = path if path.parent.parent == folder else path.parent
    if not part.name.isdecimal():
        return False
    key = (study, int(part.name))
    known = key in record.runs or key in record.journal or key in record.damaged
    return known and key not in record.trials


def examine_checkpoints(record: Record, folder: Path) -> Iterator[Finding]:
    """Checkpoints can be read; weights that the rest of the job will need are there."""
    needed = {record.job.id: top(record.searched, record.spec)}
    needed[f"{record.job.id}/confirm"] = complete(record.confirmed)
    for (study, number), trial in record.trials.items():
        part = "search" if study == record.job.id else "confirm"
        checkpoints = Checkpoints(folder / part / f"{number:06d}")
        subject = record.subject((study, number))
        if not trial.state.is_finished():
            yield from examine_waiting(checkpoints, subject)
        elif number in needed[study]:
            yield from examine_weights(record, study, checkpoints, subject)


def examine_waiting(checkpoints: Checkpoints, subject: str) -> Iterator[Finding]:
    """The checkpoints from which a trial will go on can be read.

    One that is missing is no fault: its epochs are trained again, to the same numbers.
    """
    for path in sorted(checkpoints.folder.glob("epoch-*.pt")):
        try:
            checkpoints.read(int(path.stem.removeprefix("epoch-")))
        except DamagedError as error:
            yield Finding(
                "checkpoint-damaged",
                subject,
                f"{error}; without it the trial goes on from an older one",
                Delete(path),
            )
        except ValueError:
            yield Finding("checkpoint-damaged", subject, f"{path} is no epoch's", Delete(path))


def examine_weights(
    record: Record, study: str, checkpoints: Checkpoints, subject: str
) -> Iterator[Finding]:
    """The best weights of a trial that may become the champion can be read."""
    wanted = record.job.result is None and (study != record.job.id or not record.spec.confirm.top)
    if not checkpoints.best.exists():
        if wanted and not checkpoints.epochs():
            yield Finding(
                "weights-missing",
                subject,
                f"the job has yet to choose, but {checkpoints.best} is missing; a trial that has "
                "ended is not trained again",
            )
        return
    try:
        checkpoints.read_best()
    except (DamagedError, OSError) as error:
        yield Finding(
            "weights-damaged",
            subject,
            f"{error}" + ("; the job has yet to choose" if wanted else ""),
            None if wanted else Delete(checkpoints.best),
        )


def examine_foreign(home: Home, every_job: Callable[[], Iterable[str]]) -> Iterator[Finding]:
    """Folders of jobs that the database does not know.

    Only where database and checkpoints are this home's own: elsewhere they may be another's. The
    jobs are asked for after the folders, since a job is written before its first folder.
    """
    own = home.database_url == f"sqlite:///{home.path / 'gatetune.db'}"
    if not own or not home.checkpoints.is_relative_to(home.path):
        return
    folders = [
        path
        for parent in (home.checkpoints, home.path / "scratch")
        for path in sorted(parent.glob("*"))
        if path.is_dir() and JOB_ID.fullmatch(path.name)
    ]
    known = set(every_job())
    for path in folders:
        if path.name not in known:
            yield Finding(
                "job-unknown",
                f"file {path.relative_to(home.path)}",
                f"the database knows no job {path.name}, but there is {path}",
                Delete(path),
            )
