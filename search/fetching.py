"""The champion's files, from where the driver saved them to where a person wants them."""

import shutil
import time
from pathlib import Path

from search.home import Home
from search.jobs import NotPossibleError, find
from search.lease import live_status
from search.store import Store
from search.tables import Job

FILES = ("model.pt2", "weights.safetensors", "config.json", "metrics.json", "README.md")
"""What a fetched model consists of; README.md is the model card."""


def champion_folder(home: Home, job_id: str) -> Path:
    """Return the folder in which a job's driver saves its champion."""
    return home.checkpoints / job_id / "champion"


def is_whole(folder: Path) -> bool:
    """Whether a champion's folder has all of its files."""
    return all((folder / name).exists() for name in FILES)


def fetch_model(store: Store, home: Home, key: str, to: Path) -> list[str]:
    """Copy a job's champion into the folder ``to`` and return the names of its files.

    Raises:
        JobNotFoundError: there is no such job.
        NotPossibleError: it has no champion yet, or ``to`` is something else already.
    """
    folder = champion_files(home, find(store, key))
    check_target(to)
    to.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        shutil.copyfile(folder / name, to / name)
    return list(FILES)


def champion_files(home: Home, job: Job) -> Path:
    """Return the folder with the files of a job's champion.

    Raises:
        NotPossibleError: it has none yet.
    """
    folder = champion_folder(home, job.id)
    if job.result is None or not is_whole(folder):
        raise NotPossibleError(
            f"job {job.id} is {live_status(job, time.time())} and has no champion yet; "
            f"`gatetune resume {job.id}` finishes it"
        )
    return folder


def check_target(to: Path) -> None:
    """Refuse to fetch over files that are something else.

    Raises:
        NotPossibleError: ``to`` is no folder, or holds other files.
    """
    for part in (to, *to.parents):
        if part.is_file():
            raise NotPossibleError(f"--to must name a folder, but {part} is a file")
    foreign = sorted(p.name for p in to.iterdir() if p.name not in FILES) if to.exists() else []
    if foreign:
        raise NotPossibleError(f"--to must name a new or empty folder, but {to} holds {foreign[0]}")
