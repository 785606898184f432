"""A data set as trials have it: sequences in three parts, fingerprinted; light to import."""

import hashlib
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainables import leaks, splits
from trainables.faults import DatasetError
from trainables.labels import classes_of, encode, is_whole, numbers
from trainables.preparation import Preparation
from trainables.sequences import Sequences, coarse
from trainables.sources import ARCHIVED, files
from trainables.sources.columns import Columns
from trainables.sources.files import FileOptions, columns_of
from trainables.sources.named import LOADERS, archived
from trainables.sources.room import give_back

TEST_SEED = 20_240_229
"""Fixes which sequences become a test part, for every job alike."""


@dataclass(frozen=True, eq=False)
class Part:
    """Some labelled sequences.

    Attributes:
        x: [sequences, steps, features] where all are of one length, else [all steps, features];
            uint8 or float32, C-contiguous. May be mapped memory that other processes read too, and
            must never be written to.
        y: [sequences] int64, places in the data set's ``classes``; or [sequences, targets] float32.
        lengths: [sequences] int64; None where all are of one length.
    """

    x: NDArray[Any]
    y: NDArray[Any]
    lengths: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.y)

    @cached_property
    def steps(self) -> int:
        """Length of the longest sequence."""
        return int(self.x.shape[1] if self.lengths is None else self.lengths.max())

    @property
    def flat(self) -> NDArray[Any]:
        """All steps [all steps, features], without a copy."""
        return self.x.reshape(-1, self.x.shape[-1])

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """[sequences], where each begins in `flat`."""
        if self.lengths is None:
            return np.arange(len(self.y)) * self.steps
        return np.cumsum(self.lengths) - self.lengths

    def sequence(self, row: int) -> NDArray[Any]:
        """Return one sequence [steps, features], without a copy."""
        length = self.steps if self.lengths is None else int(self.lengths[row])
        start = int(self.starts[row])
        return self.flat[start : start + length]

    def take(self, rows: splits.Rows) -> "Part":
        """Return some of the sequences, in memory of their own."""
        if self.lengths is None:
            return Part(self.x[rows], self.y[rows])
        x = np.concatenate([self.sequence(row) for row in rows])
        return Part(x, self.y[rows], self.lengths[rows])


@dataclass(frozen=True)
class Targets:
    """Numbers that are learned.

    Attributes:
        names: of each.
        offset: its mean in the training part.
        scale: its deviation there, above 0.
    """

    names: tuple[str, ...]
    offset: tuple[float, ...]
    scale: tuple[float, ...]

    @classmethod
    def of(cls, saved: dict[str, Any] | None) -> "Targets | None":
        """Return the targets whose fields were saved as JSON."""
        return None if saved is None else cls(**{key: tuple(saved[key]) for key in saved})


@dataclass(frozen=True)
class Shape:
    """What the shape of a network follows from, besides its configuration.

    Attributes:
        steps: length of every sequence, or of the longest.
        inputs: values a step, as the network sees them.
        outputs: number of classes, or of targets.
        varies: whether sequences are of unequal lengths.
    """

    steps: int
    inputs: int
    outputs: int
    varies: bool = False


@dataclass(frozen=True, eq=False)
class SequenceDataset:
    """Sequences in three parts.

    Attributes:
        name: the source.
        train: what the networks learn from.
        validation: what configurations are compared on.
        test: what the chosen one is reported on.
        classes: names of the classes; none where numbers are learned.
        preparation: what is done to raw values before the network sees them.
        fingerprint: SHA-256 in hex of content, labels and split.
        notes: what a person should know about it, a sentence each.
        targets: the numbers that are learned; None where classes are.
        named: what each value of a step is called in a file; empty for pictures.
        columns: which column of a table is what; nothing where they are not from one.
    """

    name: str
    train: Part
    validation: Part
    test: Part
    classes: tuple[str, ...]
    preparation: Preparation
    fingerprint: str
    notes: tuple[str, ...] = ()
    targets: Targets | None = None
    named: tuple[str, ...] = ()
    columns: Columns = field(default_factory=Columns)

    @cached_property
    def shape(self) -> Shape:
        """What networks for it are shaped by."""
        return Shape(
            steps=max(part.steps for part in (self.train, self.validation, self.test)),
            inputs=self.preparation.inputs,
            outputs=len(self.outputs),
            varies=self.train.lengths is not None,
        )

    @property
    def outputs(self) -> tuple[str, ...]:
        """What each output of a network stands for: a class as the labels call it, or a target."""
        return self.targets.names if self.targets else self.classes

    @property
    def features(self) -> int:
        """Values a step, as the source has them."""
        return int(self.train.x.shape[-1])


MANY = 20
"""Classes that are numbers, above which they may be meant as such."""


def load_dataset(
    source: str,
    *,
    validation: float,
    seed: int,
    data_dir: Path,
    options: FileOptions | None = None,
) -> SequenceDataset:
    """Load a source and split it.

    Args:
        source: one of `SOURCES`, or the path of a file or folder.
        validation: share of the training part that becomes the validation part.
        seed: fixes which sequences those are.
        data_dir: where downloaded sources lie, or are put.
        options: what the document says about its own file.

    Raises:
        DatasetError: the source is neither there nor to be had, cannot be read, or a split leaves
            a part without some class.
    """
    options = options or FileOptions()
    if source in LOADERS:
        return of_name(source, validation, seed, data_dir, options)
    path = Path(source)
    if source in ARCHIVED:
        path, test = archived(source)
        options = replace(options, test=test)
    made = of_file(path, validation, seed, options)
    give_back()
    return replace(made, name=source) if source in ARCHIVED else made


def of_name(
    source: str, validation: float, seed: int, data_dir: Path, options: FileOptions
) -> SequenceDataset:
    """Return a data set of pictures; see `load_dataset`."""
    known = LOADERS[source](data_dir)
    parts = split(known.train, known.test, known.classes, options.test_share, validation, seed)
    return SequenceDataset(
        source,
        parts["train"],
        parts["validation"],
        parts["test"],
        classes=known.classes,
        preparation=Preparation.divide(known.train.x.shape[1], known.white),
        fingerprint=fingerprint(known.classes, *parts.values()),
    )


def of_file(path: Path, validation: float, seed: int, options: FileOptions) -> SequenceDataset:
    """Return a data set of a person's own; see `load_dataset`."""
    train, test = files.load(path, options)
    classes = classes_of(train, test) if options.task == "classification" else ()
    try:
        parts = split(train, test, classes, options.test_share, validation, seed)
    except DatasetError as error:
        if len(classes) < MANY or not all(map(is_whole, classes)):
            raise
        raise DatasetError(f"{error}; `task: regression` takes the labels for numbers") from None
    seen = parts["train"].flat
    return SequenceDataset(
        path.name,
        parts["train"],
        parts["validation"],
        parts["test"],
        classes=classes,
        preparation=Preparation.standardise(seen, options.missing, mask=options.mask),
        fingerprint=fingerprint(classes or train.targets, *parts.values()),
        notes=(
            *leaks.shared_groups(train, test),
            *leaks.duplicates(parts),
            *(leaks.rare(parts, classes) if classes else ()),
        ),
        targets=None if classes else targets_of(train.targets, parts["train"].y),
        named=train.features,
        columns=columns_of(train, options.columns),
    )


def split(  # noqa: PLR0913 - what is split, and how
    train: Sequences,
    test: Sequences | None,
    classes: tuple[str, ...],
    test_share: float,
    validation: float,
    seed: int,
) -> dict[str, Part]:
    """Return the parts of a data set by name; each keeps the order of its source.

    Args:
        train: what the training and validation part are of.
        test: the test part; None where it is of ``train``, too.
        classes: names of the classes; none where numbers are learned.
        test_share: share of ``train`` that becomes the test part, if there is none; the same
            sequences for every seed.
        validation: share of the rest that becomes the validation part.
        seed: fixes which.
    """
    lengths = [one.lengths for one in (train, test) if one is not None]
    varies = bool(np.ptp(np.concatenate(lengths)))
    whole = part_of(train, classes, varies=varies)
    if not classes:
        check_targets(train)
    rows = np.arange(len(whole))
    if test is None:
        rows, tested = hold_out(train, whole.y, rows, test_share, TEST_SEED, "test")
        test_part = whole.take(tested)
    else:
        test_part = part_of(test, classes, varies=varies)
    rows, validated = hold_out(train, whole.y, rows, validation, seed, "validation")
    return {"train": whole.take(rows), "validation": whole.take(validated), "test": test_part}


def check_targets(train: Sequences) -> None:
    """Refuse to learn targets that 32 bits hardly tell apart."""
    if train.labels.dtype == np.float32:
        return
    for name, column in zip(train.targets, np.atleast_2d(train.labels.T), strict=True):
        exact = column.astype(np.float64)
        if (said := coarse(f"label {name}", float(exact.min()), float(exact.max()))) is not None:
            raise DatasetError(said)


def part_of(sequences: Sequences, classes: tuple[str, ...], *, varies: bool) -> Part:
    """Return all of some sequences as a part.

    Args:
        sequences: what it holds.
        classes: all that there are; none where numbers are learned.
        varies: whether the data set's sequences are of unequal lengths.
    """
    y = encode(sequences.labels, classes) if classes else numbers(sequences)
    lengths = sequences.lengths
    if varies:
        return Part(sequences.x, y, lengths)
    return Part(sequences.x.reshape(len(lengths), int(lengths[0]), -1), y)


def targets_of(names: tuple[str, ...], y: NDArray[np.float32]) -> Targets:
    """Return what is known of the targets [sequences, targets] of a training part."""
    exact = y.astype(np.float64)
    offset, scale = exact.mean(0), exact.std(0)
    for name, mean, deviation in zip(names, offset, scale, strict=True):
        if not deviation:
            raise DatasetError(
                f"label {name}: must differ, but is {mean:g} in all training sequences"
            )
    return Targets(names, tuple(offset.tolist()), tuple(scale.tolist()))


def hold_out(  # noqa: PLR0913 - what is split, and how
    sequences: Sequences,
    y: NDArray[Any],
    rows: splits.Rows,
    fraction: float,
    seed: int,
    name: str,
) -> tuple[splits.Rows, splits.Rows]:
    """Return which of some rows stay, and which are held out, as the data set asks for.

    Args:
        sequences: all of the source; its groups or times decide, where it has them.
        y: [sequences] classes, which all parts must have; or numbers.
        rows: those that are split.
        fraction: share that is held out.
        seed: fixes which.
        name: what the held-out part is called in errors.
    """
    classes = y[rows] if y.ndim == 1 else None
    if sequences.times is not None:
        stay, out = splits.by_time(sequences.times[rows], classes, fraction, name)
    elif sequences.groups is not None:
        stay, out = splits.by_group(sequences.groups[rows], classes, fraction, seed, name)
    elif classes is None:
        stay, out = splits.at_random(len(rows), fraction, seed, name)
    else:
        stay, out = splits.stratified(classes, fraction, seed, name)
    return rows[stay], rows[out]


def fingerprint(classes: tuple[str, ...], *parts: Part) -> str:
    """Return the SHA-256 in hex of class names and of every part's values, labels and order."""
    digest = hashlib.sha256("\n".join(classes).encode())
    for part in parts:
        for array in (part.x, part.y, part.lengths):
            if array is not None:
                digest.update(f"{array.dtype.str}{array.shape}".encode())
                digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
