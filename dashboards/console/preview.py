"""What is in some data, for a person who is about to search on them."""

import base64
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any
from zipfile import BadZipFile, ZipFile

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pyarrow import ArrowException
from pyarrow.parquet import ParquetFile

from search.common.home import Home
from search.common.places import is_path
from search.document.sections import Data
from search.document.spec import JobSpec
from search.jobs.loading import allowed, check_heads, read_data
from search.study.cost import Sizes
from trainables.datasets import SequenceDataset, Shape
from trainables.faults import DatasetError
from trainables.metrics import Task
from trainables.sources import DOWNLOADED, PICTURES, is_there

MOST_BYTES = 2**28
"""Of data that are looked at: larger ones would cost the service memory that its jobs need."""

LOOKING = Lock()
"""Held by the one file that is looked at."""

SHOWN = 6
"""Sequences that are drawn."""

POINTS = 96
"""Of a drawn line."""

LINES = 3
"""Features of a sequence that are drawn."""

MOST_CLASSES = 12
"""Classes of which the number of sequences is shown."""


class TooLargeError(DatasetError):
    """Data would take more memory than a look at them is worth."""


@dataclass(frozen=True)
class Drawn:
    """A sequence as it is drawn: as lines of points, or as a picture of steps by features."""

    label: str
    lines: tuple[str, ...] = ()
    image: str = ""


@dataclass(frozen=True)
class Preview:
    """What a person wants to know of some data."""

    parts: tuple[tuple[str, int], ...]
    lengths: tuple[int, int]
    features: int
    learned: str
    classes: tuple[tuple[str, int], ...]
    """Of the training part."""
    more_classes: int
    drawn: tuple[Drawn, ...]
    notes: tuple[str, ...]
    sizes: Sizes
    name: str
    shape: Shape


def preview(spec: JobSpec, home: Home) -> Preview | None:
    """Load a document's data and return what is in them; the same data are loaded once.

    None where they are too large for the service to look at, or may have to be downloaded first.

    Raises:
        SpecError: they may not be read.
        DatasetError: they cannot be used, or not with what the document trains.
    """
    said = allowed(spec, home).data
    if said.source in DOWNLOADED and not is_there(DOWNLOADED[said.source], home.data):
        return None
    paths = [Path(one) for one in (said.source, said.test) if one is not None and is_path(one)]
    try:
        with looked_at(paths) as ages:
            found = loaded(said.model_dump_json(), spec.task, spec.seed, home, ages)
    except TooLargeError:
        return None
    check_heads(spec, found)
    return found


@contextmanager
def looked_at(paths: Sequence[Path]) -> Iterator[tuple[int, ...]]:
    """Let one file after the other be read, and yield their ages, which tell contents apart.

    Raises:
        TooLargeError: they would take more memory than a look is worth.
        DatasetError: one of them is gone.
    """
    try:
        files = [file for path in paths for file in (path.iterdir() if path.is_dir() else [path])]
        if sum(map(unpacked, files)) > MOST_BYTES:
            raise TooLargeError("the data are too large to look at here")
        ages = tuple(file.stat().st_mtime_ns for file in files)
    except OSError as error:
        raise DatasetError(f"data.source: {error.strerror}") from error
    with LOOKING:
        yield ages


def unpacked(file: Path) -> int:
    """Return how many bytes a file holds: of an archive, those of its members."""
    # What is wrong with a damaged one says who reads it.
    with suppress(ArrowException, BadZipFile, NotImplementedError, OSError):
        if file.suffix == ".npz":
            with ZipFile(file) as archive:
                return sum(member.file_size for member in archive.infolist())
        if file.suffix == ".parquet":
            whole = ParquetFile(file).metadata
            return sum(whole.row_group(at).total_byte_size for at in range(whole.num_row_groups))
    return file.stat().st_size


@lru_cache(maxsize=8)
def loaded(
    said: str,
    task: Task,
    seed: int,
    home: Home,
    ages: tuple[int, ...],  # noqa: ARG001 - they tell contents apart
) -> Preview:
    """Return what is in the data of a section `data`."""
    section = Data.model_validate_json(said)
    data: SequenceDataset = read_data(section, task, seed, home)
    counts = class_sizes(data)
    part = data.train
    lengths = (
        (part.steps, part.steps)
        if part.lengths is None
        else (int(part.lengths.min()), int(part.lengths.max()))
    )
    names = data.targets.names if data.targets else ()
    return Preview(
        parts=tuple((name, len(getattr(data, name).y)) for name in ("train", "validation", "test")),
        lengths=lengths,
        features=data.features,
        learned=f"numbers: {', '.join(names)}" if names else f"{len(data.classes)} classes",
        classes=tuple(counts[:MOST_CLASSES]),
        more_classes=max(0, len(counts) - MOST_CLASSES),
        drawn=tuple(drawn(data, pictures=section.source in PICTURES)),
        notes=tuple(data.notes),
        sizes=Sizes.of(data),
        name=data.name,
        shape=data.shape,
    )


def class_sizes(data: SequenceDataset) -> list[tuple[str, int]]:
    """Return the training sequences of each class; of many classes the largest first."""
    if not data.classes:
        return []
    numbers = np.bincount(data.train.y, minlength=len(data.classes))
    counts = [(str(name), int(n)) for name, n in zip(data.classes, numbers, strict=True)]
    return counts if len(counts) <= MOST_CLASSES else sorted(counts, key=lambda one: -one[1])


def drawn(data: SequenceDataset, *, pictures: bool) -> list[Drawn]:
    """Return some sequences of the training part, of different classes where there are any."""
    part = data.train
    _, firsts = np.unique(part.y, axis=0, return_index=True)
    rows = firsts[:: max(1, len(firsts) // SHOWN)][:SHOWN]
    return [one(data, int(row), pictures=pictures) for row in rows]


def one(data: SequenceDataset, row: int, *, pictures: bool) -> Drawn:
    """Return a sequence of the training part as it is drawn."""
    values = np.asarray(data.train.sequence(row), np.float64)
    y = data.train.y[row]
    label = data.classes[int(y)] if data.classes else ", ".join(f"{v:.3g}" for v in np.ravel(y))
    if pictures:
        return Drawn(str(label), image=picture(values))
    return Drawn(
        str(label), lines=tuple(line(values[:, at]) for at in range(LINES)[: values.shape[1]])
    )


def picture(values: NDArray[Any]) -> str:
    """Return steps by features as the address of a picture."""
    low, high = float(values.min()), float(values.max())
    gray = (255 * (1 - (values - low) / ((high - low) or 1))).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(gray).save(stream, "PNG")
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"


def line(values: NDArray[np.float64]) -> str:
    """Return values as the points of a line in a box of 100 by 40; what is missing is left out."""
    thin: Sequence[float] = values[:: max(1, len(values) // POINTS)].tolist()
    known = [v for v in thin if v == v]  # noqa: PLR0124 - not NaN
    if not known:
        return ""
    low, span = min(known), (max(known) - min(known)) or 1.0
    return " ".join(
        f"{100 * at / max(1, len(thin) - 1):.1f},{38 - 36 * (v - low) / span:.1f}"
        for at, v in enumerate(thin)
        if v == v  # noqa: PLR0124
    )
