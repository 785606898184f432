"""Checkpoints and other files of a job: what is needed is whole, what is not needed is gone."""

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from search.common.home import Home
from search.database.tables import confirmation
from search.document.sections import NAME
from search.study.retention import complete, top, unreferenced_of_job
from search.upkeep.doctor.finding import Finding
from search.upkeep.doctor.record import Record
from search.upkeep.doctor.steps import Delete
from search.winner.fetching import champion_folder, is_whole
from trainables.checkpoint import BEST, Checkpoints, epoch_files, epoch_of, trial_folder
from trainables.folder import DamagedError, Folder, Item, LocalFolder

JOB_ID = re.compile(rf"{NAME}-(?:[0-9a-f]{{4}}|[0-9a-f]{{8}})")
"""What `search.jobs.jobs.create` calls a job."""


def examine_files(home: Home, record: Record) -> Iterator[Finding]:
    """Yield what is wrong in the folders of a job."""
    folder = home.folder(record.job.id)
    chosen = record.result is not None and is_whole(champion_folder(home, record.job.id))
    unneeded = unreferenced_of_job(
        folder, record.spec, record.searched, record.confirmed, chosen=chosen
    )
    said: set[str] = set()
    for item in (*unneeded, *of_no_trial(record, folder), *folder.interrupted()):
        path = str(item).removeprefix(f"{folder}/")
        within = any(f"{path}/".startswith(f"{one}/") for one in said)
        if not within and not is_lost(record, path):
            said.add(path)
            yield superfluous(item, f"{record.job.id}/{path}")
    scratch = home.scratch / record.job.id
    if scratch.exists():
        step = Delete(Item(LocalFolder(scratch.parent), scratch.name))
        yield Finding("scratch-left", "files", f"a driver left {scratch}", step)
    yield from examine_checkpoints(record, folder)


def of_no_trial(record: Record, folder: Folder) -> Iterator[Item]:
    """Yield what lies among the trials' folders and is none of them."""
    for part, trials in (("search", record.searched), ("confirm", record.confirmed)):
        known = {trial_folder(trial.number) for trial in trials}
        inside = folder.child(part)
        yield from (Item(inside, name) for name in inside.names() if name not in known)


def superfluous(item: Item, path: str) -> Finding:
    """Return that nothing needs a file or folder."""
    temporary = item.name.endswith(".tmp")
    kind = "temporary-file" if temporary else "checkpoint-unreferenced"
    what = "an interrupted write left" if temporary else "no trial needs"
    return Finding(kind, f"file {path}", f"{what} {item}", Delete(item))


def is_lost(record: Record, path: str) -> bool:
    """Whether files may be all that is left of a trial that the study lost; they are kept.

    Args:
        record: the job.
        path: of the files in the job's folder, such as ``search/000007/best.safetensors``.
    """
    part, _, inside = path.partition("/")
    trial = inside.partition("/")[0]
    if not trial.isdecimal():
        return False
    key = (record.job.id if part == "search" else confirmation(record.job.id), int(trial))
    known = key in record.runs or key in record.journal or key in record.damaged
    return known and key not in record.trials


def examine_checkpoints(record: Record, folder: Folder) -> Iterator[Finding]:
    """Checkpoints can be read; weights that the rest of the job will need are there."""
    needed = {
        record.job.id: top(record.searched, record.spec),
        confirmation(record.job.id): complete(record.confirmed),
    }
    for (study, number), trial in record.trials.items():
        part = "search" if study == record.job.id else "confirm"
        checkpoints = Checkpoints(folder.child(part).child(trial_folder(number)))
        subject = record.subject((study, number))
        if not trial.state.is_finished():
            yield from examine_waiting(checkpoints, subject)
        elif number in needed[study]:
            yield from examine_weights(record, study, checkpoints, subject)


def examine_waiting(checkpoints: Checkpoints, subject: str) -> Iterator[Finding]:
    """The checkpoints from which a trial will go on can be read.

    One that is missing is no fault: its epochs are trained again, to the same numbers.
    """
    for name in epoch_files(checkpoints.folder.names()):
        file = Item(checkpoints.folder, name)
        try:
            checkpoints.read(epoch_of(name))
        except DamagedError as error:
            yield Finding(
                "checkpoint-damaged",
                subject,
                f"{error}; without it the trial goes on from an older one",
                Delete(file),
            )
        except ValueError:
            yield Finding("checkpoint-damaged", subject, f"{file} is no epoch's", Delete(file))


def examine_weights(
    record: Record, study: str, checkpoints: Checkpoints, subject: str
) -> Iterator[Finding]:
    """The best weights of a trial that may become the champion can be read."""
    wanted = record.job.result is None and (study != record.job.id or not record.spec.confirm.top)
    best = Item(checkpoints.folder, BEST)
    if not checkpoints.has_best():
        if wanted and not checkpoints.epochs():
            yield Finding(
                "weights-missing",
                subject,
                f"the job has yet to choose, but {best} is missing; a trial that has "
                "ended is not trained again",
            )
        return
    try:
        checkpoints.read_best()
    except DamagedError as error:
        yield Finding(
            "weights-damaged",
            subject,
            f"{error}" + ("; the job has yet to choose" if wanted else ""),
            None if wanted else Delete(best),
        )


def examine_foreign(home: Home, every_job: Callable[[], Iterable[str]]) -> Iterator[Finding]:
    """Folders of jobs that the database does not know.

    Only where database and checkpoints are this home's own: elsewhere they may be another's. The
    jobs are asked for after the folders, since a job is written before its first folder. What
    has files is kept: the database may be new or older, and they all that is left of the job.
    """
    own = home.database_url == f"sqlite:///{home.path / 'gatetune.db'}"
    checkpoints = Path(home.checkpoints)
    if not own or not checkpoints.is_relative_to(home.path):
        return
    folders = [
        path
        for parent in (checkpoints, home.scratch)
        for path in sorted(parent.glob("*"))
        if path.is_dir() and JOB_ID.fullmatch(path.name)
    ]
    known = set(every_job())
    for path in folders:
        if path.name not in known:
            kept = path.parent == checkpoints and any(one.is_file() for one in path.rglob("*"))
            yield Finding(
                "job-unknown",
                f"file {path.relative_to(home.path)}",
                f"the database knows no job {path.name}, but there is {path}",
                None if kept else Delete(Item(LocalFolder(path.parent), path.name)),
            )
