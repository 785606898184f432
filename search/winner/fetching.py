"""The champion's files, from where the driver saved them to where a person wants them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import TYPE_CHECKING

from search.common.home import Home
from search.database.lease import LIVE, live_status
from search.database.store import Store
from search.database.tables import Job
from search.jobs.jobs import NotPossibleError, find
from trainables.folder import DamagedError, Folder, FolderError

if TYPE_CHECKING:
    from search.report.report import Form

ANSWERS = "validation.npz"
"""What the chosen configuration's runs answer on the validation part: a later job is held against
it on the same sequences."""

EXPORTS = {"pt2": "model.pt2", "onnx": "model.onnx"}
"""Programs that answer by themselves, by format; one that fails its check is not offered."""

SUMS = "SHA256SUMS"
"""The files of a champion with their checksums, as `sha256sum --check` reads them."""

FILES = (
    *EXPORTS.values(),
    "weights.safetensors",
    "config.json",
    "metrics.json",
    ANSWERS,
    "predict.py",
    "README.md",
    SUMS,
)
"""What a saved model consists of, in the order in which it is written; README.md is the card."""

NEEDED = frozenset(FILES) - frozenset(EXPORTS.values())
"""Without which a model is not whole."""

UNSUMMED = frozenset({"weights.safetensors", "config.json", "metrics.json", "README.md"})
"""What makes a model whole that was saved without checksums."""

FORMATS = {
    **{name: (file, "predict.py") for name, file in EXPORTS.items()},
    "safetensors": ("weights.safetensors",),
}
"""What is fetched of the model itself where one format is asked for."""

ALWAYS = ("config.json", "metrics.json", "README.md")

FRESH = ".gatetune-fetch-"
"""Begins the name of the folder in which files are written before they are put in place."""

REPORTS: dict[str, "Form"] = {"report.md": "markdown", "report.html": "html"}
"""What is fetched beside the model: the job's report, in these forms."""


def champion_folder(home: Home, job_id: str) -> Folder:
    """Return the folder in which a job's driver saves its champion."""
    return home.folder(job_id).child("champion")


@dataclass(frozen=True)
class Choice:
    """Which model a person wants, and of it what.

    Attributes:
        form: of `FORMATS`; None for all.
        trial: of the search; None for the champion.
    """

    form: str | None = None
    trial: int | None = None


def offered(folder: Folder) -> tuple[str, ...]:
    """Return the files of a champion, in order; none where it is not whole."""
    if not folder.exists(SUMS):  # of a version that wrote none
        there = tuple(name for name in FILES if name in folder.names())
        whole = {*there} >= UNSUMMED and not {*there}.isdisjoint(EXPORTS.values())
        return there if whole else ()
    listed = {*sums_of(folder.read(SUMS)), SUMS}
    return tuple(name for name in FILES if name in listed) if listed >= NEEDED else ()


def is_whole(folder: Folder) -> bool:
    """Whether a champion's folder has all of its files; one that is being written has not."""
    names = offered(folder)
    return bool(names) and set(names) <= set(folder.names())


def sums_of(content: bytes) -> dict[str, str]:
    """Return the checksum of each file, by its name."""
    lines = content.decode(errors="replace").splitlines()
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def summed(contents: Mapping[str, bytes]) -> bytes:
    """Return the checksums of files, as `SUMS` holds them."""
    lines = [f"{sha256(content).hexdigest()}  {name}\n" for name, content in contents.items()]
    return "".join(lines).encode()


def replace_champion(folder: Folder, contents: Mapping[str, bytes]) -> None:
    """Write a champion's files in place of an earlier one's; it is whole with the last of them."""
    folder.clear()
    known = {name: contents[name] for name in FILES if name in contents and name != SUMS}
    for name, content in known.items():
        folder.write(name, content)
    folder.write(SUMS, summed(known))


def copy_champion(folder: Folder, to: Path) -> None:
    """Copy a champion's files into a folder of this machine.

    Raises:
        FileNotFoundError: it is not whole.
        DamagedError: a file is not what was written.
    """
    to.mkdir(parents=True, exist_ok=True)
    for name, content in checked(folder, offered(folder) or FILES).items():
        (to / name).write_bytes(content)


def checked(folder: Folder, names: Iterable[str]) -> dict[str, bytes]:
    """Return files of a champion, by name.

    Raises:
        FileNotFoundError: one is not there.
        DamagedError: one is not what was written.
    """
    contents = {name: folder.read(name) for name in names}
    if folder.exists(SUMS):
        check_sums(contents, sums_of(folder.read(SUMS)))
    return contents


def check_sums(contents: Mapping[str, bytes], sums: Mapping[str, str]) -> None:
    """Hold files against their checksums.

    Raises:
        DamagedError: one is not what was written.
    """
    for name, content in contents.items():
        if name != SUMS and sha256(content).hexdigest() != sums.get(name):
            raise DamagedError(f"{name} is not what was written: its checksum is another")


def wanted(names: Sequence[str], form: str | None) -> list[str]:
    """Return which of a champion's files a person gets.

    Args:
        names: that are offered.
        form: of `FORMATS`; None for all.

    Raises:
        NotPossibleError: that format failed its check and is not offered.
    """
    if form is None:
        return [name for name in names if name != ANSWERS]
    needed = FORMATS[form]
    if needed[0] not in names:
        has = ", ".join(one for one, (file, *_) in FORMATS.items() if file in names)
        raise NotPossibleError(
            f"{needed[0]} did not answer as the trained network does and is not offered, README.md "
            f"says more; there are: {has}"
        )
    return [name for name in names if name in {*needed, *ALWAYS, SUMS}]


def write_fetched(
    contents: Mapping[str, bytes],
    to: Path,
    form: str | None,
    reports: Mapping[str, bytes] = MappingProxyType({}),
) -> list[str]:
    """Write a model's files into a folder, with the checksums of these alone; return their names.

    What was fetched there before goes, once all is written: files of two models make none.

    Args:
        contents: the model's files.
        to: a new or empty folder, or one that was fetched before.
        form: of `FORMATS`; None for all.
        reports: of `REPORTS`.

    Raises:
        NotPossibleError: the format is not among them, or ``to`` is something else already, or
            cannot be written.
    """
    names = wanted([name for name in FILES if name in {*contents, SUMS}], form)
    check_target(to)
    known = {name: contents[name] for name in names if name != SUMS}
    written = {**known, SUMS: summed(known), **reports}
    try:
        to.mkdir(parents=True, exist_ok=True)
        for left in to.glob(f"{FRESH}*"):  # by a fetch that was killed
            rmtree(left)
        with TemporaryDirectory(prefix=FRESH, dir=to) as fresh:
            for name, content in written.items():
                (Path(fresh) / name).write_bytes(content)
            # The sums first: should it be killed here, they tell the old files from the new.
            for name in sorted(written, key=lambda name: name != SUMS):
                (Path(fresh) / name).replace(to / name)
            for name in {*FILES, *REPORTS} - {*written}:
                (to / name).unlink(missing_ok=True)
    except OSError as error:
        raise NotPossibleError(f"{to} must be writable, but {error.strerror}") from error
    return [*names, *reports]


def fetch_model(  # noqa: PLR0913 - what of which job goes where
    store: Store,
    home: Home,
    key: str,
    to: Path,
    form: str | None = None,
    reports: Callable[[], Mapping[str, bytes]] = dict,
) -> list[str]:
    """Copy a job's champion into the folder ``to`` and return the names of its files.

    Args:
        store: the database.
        home: the installation.
        key: the job.
        to: a new or empty folder, or one that was fetched before.
        form: of `FORMATS`; None for all.
        reports: makes those of `REPORTS`, once the model is there.

    Raises:
        JobNotFoundError: there is no such job.
        NotPossibleError: it has no champion yet, the store of the checkpoints does not answer, a
            file is damaged, the format is not offered, or ``to`` is something else already.
    """
    job = find(store, key)
    with answering(job):
        folder = champion_files(home, job)
        contents = checked(folder, wanted(offered(folder), form))
        return write_fetched(contents, to, form, reports())


@contextmanager
def answering(job: Job) -> Iterator[None]:
    """Say of which job it is that the files cannot be reached.

    Raises:
        NotPossibleError: the store of the checkpoints cannot be used, or a file is damaged.
    """
    try:
        yield
    except DamagedError as error:
        raise NotPossibleError(
            f"job {job.id}: {error}; `gatetune doctor {job.id} --repair` restores it"
        ) from error
    except FolderError as error:
        raise NotPossibleError(f"the files of job {job.id} cannot be reached: {error}") from error


def champion_files(home: Home, job: Job) -> Folder:
    """Return the folder with the files of a job's champion.

    Raises:
        NotPossibleError: it has none yet.
        FolderError: the store of the checkpoints cannot be used.
    """
    folder = champion_folder(home, job.id)
    if job.result is not None and is_whole(folder):
        return folder
    if job.registered is not None:
        raise NotPossibleError(
            f"job {job.id} has lost a file of its champion; `gatetune doctor {job.id} --repair` "
            "restores it"
        )
    status = live_status(job)
    waits = status in LIVE
    command = f"`gatetune {'show' if waits else 'resume'} {job.id}`"
    then = f"{command} says how far it is" if waits else f"{command} finishes it"
    raise NotPossibleError(f"job {job.id} is {status} and has no champion yet; {then}")


def check_target(to: Path) -> None:
    """Refuse to fetch over files that are something else.

    Raises:
        NotPossibleError: ``to`` is no folder, or holds other files.
    """
    for part in (to, *to.parents):
        if part.is_file():
            raise NotPossibleError(f"--to must name a folder, but {part} is a file")
    there = to.iterdir() if to.exists() else ()
    held = {path.name for path in there if not path.name.startswith(FRESH)}
    if foreign := sorted(held - {*FILES, *REPORTS}):
        raise NotPossibleError(f"--to must name a new or empty folder, but {to} holds {foreign[0]}")
    if held and SUMS not in held:
        raise NotPossibleError(
            "--to must name a new or empty folder, or one that was fetched before, "
            f"but {to} has no {SUMS}"
        )
