"""The champion's files, from where the driver saved them to where a person wants them."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from search.home import Home
from search.jobs import NotPossibleError, find
from search.lease import LIVE, live_status
from search.store import Store
from search.tables import Job
from trainables.folder import Folder, FolderError

if TYPE_CHECKING:
    from search.report import Form

ANSWERS = "validation.npz"
"""What the chosen configuration's runs answer on the validation part: a later job is held against
it on the same sequences."""

FILES = (
    "model.pt2",
    "model.onnx",
    "weights.safetensors",
    "config.json",
    "metrics.json",
    ANSWERS,
    "predict.py",
    "README.md",
)
"""What a fetched model consists of; README.md is the model card."""


REPORTS: dict[str, "Form"] = {"report.md": "markdown", "report.html": "html"}
"""What is fetched beside the model: the job's report, in these forms."""


def champion_folder(home: Home, job_id: str) -> Folder:
    """Return the folder in which a job's driver saves its champion."""
    return home.folder(job_id).child("champion")


def is_whole(folder: Folder) -> bool:
    """Whether a champion's folder has all of its files; one that is being written has not."""
    return set(FILES) <= set(folder.names())


def replace_champion(folder: Folder, contents: Mapping[str, bytes]) -> None:
    """Write a champion's files in place of an earlier one's; it is whole with the last of them."""
    folder.clear()
    for name in FILES:
        folder.write(name, contents[name])


def copy_champion(folder: Folder, to: Path) -> None:
    """Copy a champion's files into a folder of this machine.

    Raises:
        FileNotFoundError: it is not whole.
    """
    to.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        (to / name).write_bytes(folder.read(name))


def fetch_model(store: Store, home: Home, key: str, to: Path) -> list[str]:
    """Copy a job's champion into the folder ``to`` and return the names of its files.

    Raises:
        JobNotFoundError: there is no such job.
        NotPossibleError: it has no champion yet, the store of the checkpoints does not answer, or
            ``to`` is something else already.
    """
    job = find(store, key)
    with answering(job):
        folder = champion_files(home, job)
        check_target(to)
        copy_champion(folder, to)
    return list(FILES)


@contextmanager
def answering(job: Job) -> Iterator[None]:
    """Say of which job it is that the files cannot be reached.

    Raises:
        NotPossibleError: the store of the checkpoints cannot be used.
    """
    try:
        yield
    except FolderError as error:
        raise NotPossibleError(f"the files of job {job.id} cannot be reached: {error}") from error


def champion_files(home: Home, job: Job) -> Folder:
    """Return the folder with the files of a job's champion.

    Raises:
        NotPossibleError: it has none yet.
        FolderError: the store of the checkpoints cannot be used.
    """
    folder = champion_folder(home, job.id)
    if job.result is None or not is_whole(folder):
        status = live_status(job, time.time())
        waits = status in LIVE
        command = f"`gatetune {'show' if waits else 'resume'} {job.id}`"
        then = f"{command} says how far it is" if waits else f"{command} finishes it"
        raise NotPossibleError(f"job {job.id} is {status} and has no champion yet; {then}")
    return folder


def check_target(to: Path) -> None:
    """Refuse to fetch over files that are something else.

    Raises:
        NotPossibleError: ``to`` is no folder, or holds other files.
    """
    for part in (to, *to.parents):
        if part.is_file():
            raise NotPossibleError(f"--to must name a folder, but {part} is a file")
    foreign = (
        sorted(p.name for p in to.iterdir() if p.name not in {*FILES, *REPORTS})
        if to.exists()
        else []
    )
    if foreign:
        raise NotPossibleError(f"--to must name a new or empty folder, but {to} holds {foreign[0]}")
