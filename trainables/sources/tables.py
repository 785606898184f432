"""Sequences from tables: text with delimiters, or Parquet."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from trainables.faults import DatasetError
from trainables.sequences import Sequences
from trainables.sources import delimited, parquet
from trainables.sources.columns import Columns, check_one_kind, find, is_grid, may_number_rows
from trainables.sources.stored import Stored
from trainables.sources.tablefile import Ends, Rows, TableFile

AT_ONCE = 64
"""Columns of the wide form that are read together."""


@dataclass(frozen=True)
class Runs:
    """Where sequences lie in a table.

    Attributes:
        order: the table's rows by sequence and step; None where they stand so.
        starts: [sequences], where in that order each begins.
        lengths: [sequences], rows of each.
    """

    order: Rows | None
    starts: Rows
    lengths: NDArray[np.int64]

    @property
    def firsts(self) -> Rows:
        """[sequences], the first row of each."""
        return self.starts if self.order is None else self.order[self.starts]


def read(path: Path, columns: Columns, *, labelled: bool = True) -> Sequences:
    """Return the sequences of a table.

    Args:
        path: ends in ``.csv``, ``.tsv`` or ``.parquet``.
        columns: which column is what; what it leaves open is guessed from the names.
        labelled: whether there must be a label. Where there need not be one, the sequences have
            their names in a long table.

    Raises:
        DatasetError: the file is none of its kind, or its rows do not make sequences; names the
            row and the column.
    """
    source, kind = (
        (parquet, "a Parquet file") if path.suffix == ".parquet" else (delimited, "a table of text")
    )

    def names(of: Sequence[str]) -> dict[str, bool]:
        return find(path.name, of, columns, labelled=labelled).names

    try:
        with source.opened(path, names) as stored:
            return sequences(stored, columns, labelled=labelled)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path.name}: must be {kind}, but {reason(error)}") from None


def reason(error: Exception) -> str:
    """Return what pyarrow says, in one sentence."""
    text = " ".join(str(error).split())
    return re.sub(r"\s*In file .*", "", text).partition(". ")[0].rstrip(".")[:200]


def sequences(stored: Stored, columns: Columns, *, labelled: bool) -> Sequences:
    """Return the sequences of an open table."""
    if not stored.rows:
        raise DatasetError(f"{stored.path.name}: must have rows, but has none")
    layout = find(stored.path.name, stored.names, columns, labelled=labelled)
    file = TableFile(stored, layout)
    if numbering := numbering_rows(file, columns):
        left = tuple(name for name in stored.names if name not in numbering)
        found = sequences(replace(stored, names=left), columns, labelled=labelled)
        if labelled or layout.sequence not in numbering:
            return found
        return replace(found, ids=file.plain(layout.sequence))
    if layout.sequence is None:
        check_one_kind(stored.path.name, layout.cells)
    if not labelled and all(map(file.is_blank, layout.label)):
        layout = replace(layout, label=())
        file = TableFile(stored, layout)
    if layout.sequence is None:
        return wide_form(file)
    if columns.sequence is None and columns.features and not labelled:
        # A model has learned from the steps of a row, which may be called by anything.
        others = tuple(name for name in stored.names if name != layout.sequence)
        found = sequences(replace(stored, names=others), columns, labelled=labelled)
        return replace(found, ids=file.plain(layout.sequence))
    codes = file.codes(layout.sequence)
    if (
        columns.sequence is None
        and layout.step is None
        and is_grid(layout.features)
        and 2 * (codes.max() + 1) > len(codes)
    ):
        raise DatasetError(
            f"{stored.path.name}, column {layout.sequence}: must say which rows are steps of the "
            f"same sequence, but {codes.max() + 1} of {len(codes)} rows have one of their own: "
            f"data.sequence names {layout.sequence} where they are; where each row is a sequence, "
            "data.features names its steps"
        )
    runs = runs_of(codes, in_order(file, codes, layout.step))
    time = layout.time
    if layout.step is None and time is not None and differs(file.codes(time), runs).any():
        file = TableFile(stored, replace(layout, step=time))
        runs = runs_of(codes, in_order(file, codes, time))
    del codes  # as large as a feature
    found = long_form(file, runs)
    # To read them takes long, and nobody wants them of what is learned from.
    return found if labelled else replace(found, ids=file.plain(layout.sequence, runs.firsts))


def numbering_rows(file: TableFile, columns: Columns) -> tuple[str, ...]:
    """Return the columns that by their names and values number the rows, of which none is named."""
    used = {*file.layout.used} - set(columns.named().values())
    called = [name for name in file.stored.names if name in used and may_number_rows(name)]
    return tuple(name for name in called if file.numbers_rows(name))


def differs(codes: NDArray[np.int32], runs: Runs) -> NDArray[np.bool_]:
    """Return of each row, in order, whether it has another code than the first of its sequence."""
    if runs.order is not None:
        codes = codes[runs.order]
    found: NDArray[np.bool_] = codes != np.repeat(codes[runs.starts], runs.lengths)
    return found


def long_form(file: TableFile, runs: Runs) -> Sequences:
    """Return sequences of which each row is a step."""
    layout = file.layout
    x = np.empty((file.stored.rows, len(layout.features)), np.float32)
    ends = {}
    for place, name in enumerate(layout.features):
        stored = file.column(name)
        column = file.numbers(name, stored)
        x[:, place] = column if runs.order is None else column[runs.order]
        ends[name] = [file.ends(stored)]
    return Sequences(
        x=x,
        lengths=runs.lengths,
        labels=file.labels([constant(file, one, runs) for one in layout.label], len(runs.lengths)),
        features=layout.features,
        targets=layout.label,
        read_as=layout.describe(),
        groups=None if layout.group is None else constant(file, layout.group, runs),
        times=None if layout.time is None else latest(file.ordered(layout.time), runs),
        sequence=layout.sequence,
        step=layout.step,
        coarse=file.coarse(ends),
    )


def latest(times: NDArray[Any], runs: Runs) -> NDArray[Any]:
    """Return the last time of each sequence."""
    ordered = times if runs.order is None else times[runs.order]
    found: NDArray[Any] = np.maximum.reduceat(ordered, runs.starts)
    return found


def runs_of(codes: NDArray[np.int32], order: Rows | None) -> Runs:
    """Return where sequences lie.

    Args:
        codes: [rows], to which sequence each belongs.
        order: see `Runs`.
    """
    if order is not None:
        codes = codes[order]
    starts = np.append(0, np.flatnonzero(codes[1:] != codes[:-1]) + 1)
    return Runs(order, starts, np.diff(starts, append=len(codes)).astype(np.int64))


def in_order(file: TableFile, codes: NDArray[np.int32], step: str | None) -> Rows | None:
    """Return the order in which rows stand by sequence and step; None where they already do.

    Raises:
        DatasetError: a step is missing, no number, or there twice.
    """
    later = codes[1:] > codes[:-1]
    same = codes[1:] == codes[:-1]
    if step is None:
        return None if (later | same).all() else np.argsort(codes, kind="stable")
    steps = file.ordered(step)
    if (later | (same & (steps[1:] > steps[:-1]))).all():
        return None
    order = by_both(codes, steps)
    codes, steps = codes[order], steps[order]
    twice = (codes[1:] == codes[:-1]) & (steps[1:] == steps[:-1])
    if twice.any():
        at = int(twice.argmax())
        first, second = sorted(order[at : at + 2].tolist())
        why = f"must differ in a sequence, but is the same as in row {first + 1}"
        raise file.fault(step, second, why)
    return order


def by_both(codes: NDArray[np.int32], steps: NDArray[Any]) -> Rows:
    """Return the order of rows by code and step."""
    if steps.dtype.kind in "iu":
        low, high = int(steps.min()), int(steps.max())
        largest = (int(codes.max()) + 1) * (high - low + 1) + max(abs(low), abs(high))
        if largest < 2**63:
            # One number for both sorts in less than half the time.
            both = codes * np.int64(high - low + 1)
            both += steps.astype(np.int64, copy=False)
            return np.argsort(both)
    return np.lexsort((steps, codes))


def constant(file: TableFile, name: str, runs: Runs) -> NDArray[Any]:
    """Return what a column holds in every row of a sequence, for each sequence.

    Raises:
        DatasetError: rows of one sequence differ.
    """
    others = differs(file.codes(name), runs)
    if others.any():
        at = int(others.argmax())
        start = runs.starts[np.searchsorted(runs.starts, at, side="right") - 1]
        row, first = (at, start) if runs.order is None else (runs.order[at], runs.order[start])
        column = file.column(name)
        raise file.fault(
            name,
            int(row),
            f"must be the same in all rows of a sequence, but is {column[int(row)].as_py()!r} "
            f"here and {column[int(first)].as_py()!r} in row {int(first) + 1}",
        )
    return file.plain(name, runs.firsts)


def wide_form(file: TableFile) -> Sequences:
    """Return sequences of which each is a row."""
    layout, count = file.layout, file.stored.rows
    features = len(layout.features)
    x = np.empty((count, layout.steps, features), np.float32)
    ends: dict[str, list[Ends]] = {name: [] for name in layout.features}
    for begin in range(0, len(layout.cells), AT_ONCE):
        names = layout.cells[begin : begin + AT_ONCE]
        table = file.stored.read(names)
        for place, name in enumerate(names, start=begin):
            column = file.readable(name, table.column(name))
            x[:, place // features, place % features] = file.numbers(name, column)
            ends[layout.features[place % features]].append(file.ends(column))
    return Sequences(
        x=x.reshape(count * layout.steps, features),
        lengths=np.full(count, layout.steps, np.int64),
        labels=file.labels([file.plain(name) for name in layout.label], count),
        features=layout.features,
        targets=layout.label,
        read_as=layout.describe(),
        cells=layout.cells,
        groups=None if layout.group is None else file.plain(layout.group),
        times=None if layout.time is None else file.ordered(layout.time),
        coarse=file.coarse(ends),
    )
