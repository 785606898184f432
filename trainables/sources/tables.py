"""Sequences from tables: a file of comma-separated values, or one of Parquet."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from trainables.sequences import DatasetError, Sequences
from trainables.sources.columns import Columns, Layout, find
from trainables.sources.room import check_room

NUMBER = (pa.types.is_floating, pa.types.is_integer, pa.types.is_boolean, pa.types.is_decimal)
"""What values of a feature may be."""

DELIMITERS = ",;\t|"


@dataclass(frozen=True)
class TableFile:
    """A table and what messages about it need.

    Attributes:
        path: the file.
        table: its columns; every name is there once.
        layout: which column is what.
    """

    path: Path
    table: pa.Table
    layout: Layout

    def fault(self, column: str, row: int | None, why: str) -> DatasetError:
        """Return a fault of a column, at a row counted from 0 where it has one."""
        place = "" if row is None else f", row {row + 1}"
        return DatasetError(f"{self.path.name}{place}, column {column}: {why}")

    def column(self, name: str) -> pa.Array:
        """Return a column in one piece, text never as places in a dictionary."""
        whole = self.table.column(name).combine_chunks()
        if isinstance(whole, pa.ChunkedArray):  # of no rows
            whole = pa.concat_arrays(whole.chunks) if whole.num_chunks else whole.chunk(0)
        if pa.types.is_dictionary(whole.type):
            whole = whole.dictionary_decode()
        return whole

    def numbers(self, name: str) -> NDArray[np.float32]:
        """Return a feature's column as numbers, NaN for what is missing.

        Raises:
            DatasetError: a value is no number, or infinite.
        """
        column = self.column(name)
        if pa.types.is_null(column.type):
            return np.full(len(column), np.nan, np.float32)
        if is_text(column.type):
            row, text = first_word(column)
            raise self.fault(name, row, f"must be a number, but got {text!r}")
        if not any(is_kind(column.type) for is_kind in NUMBER):
            raise self.fault(name, None, f"must hold numbers, but holds {column.type}")
        exact = column.cast(pa.float64()) if not pa.types.is_float32(column.type) else column
        values: NDArray[Any] = exact.to_numpy(zero_copy_only=False)
        with np.errstate(over="ignore"):
            found = values.astype(np.float32)
        endless = np.flatnonzero(np.isinf(found))
        if len(endless):
            got = values[endless[0]]
            raise self.fault(
                name, int(endless[0]), f"must be finite and at most 3.4e38 in size, but got {got:g}"
            )
        return found

    def whole(self, name: str) -> pa.Array:
        """Return a column in which nothing may be missing.

        Raises:
            DatasetError: a value is missing.
        """
        column = self.column(name)
        lacking = column.is_null()
        if is_text(column.type):
            blank = pc.equal(pc.utf8_length(pc.utf8_trim_whitespace(column)), 0)
            lacking = pc.or_kleene(lacking, blank)
        row = pc.index(lacking, pa.scalar(value=True)).as_py()
        if row >= 0:
            raise self.fault(name, row, "must have a value, but it is empty")
        return column

    def plain(self, name: str) -> NDArray[Any]:
        """Return a column in which nothing may be missing, as text or as numbers of one kind.

        Raises:
            DatasetError: a value is missing, or of a kind that is neither.
        """
        column = self.whole(name)
        kind = column.type
        if pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind):
            values: NDArray[Any] = column.to_numpy(zero_copy_only=False)
            if pa.types.is_floating(kind) and not np.isfinite(values).all():
                row = int(np.argmin(np.isfinite(values)))
                raise self.fault(name, row, f"must be finite, but got {values[row]}")
            return values
        if is_text(kind):
            return np.array(column.to_pylist(), dtype=np.str_)
        if pa.types.is_temporal(kind):
            return np.asarray(column.cast(pa.int64()).to_numpy())
        raise self.fault(name, None, f"must hold text or numbers, but holds {kind}")

    def labels(self) -> NDArray[Any]:
        """Return a label for each row, or [rows, targets] where there are several."""
        names = self.layout.label
        if len(names) == 1:
            return self.plain(names[0])
        return np.stack([self.plain(name).astype(np.float64) for name in names], axis=1)


def is_text(kind: pa.DataType) -> bool:
    """Whether a column holds text."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def read(path: Path, columns: Columns) -> Sequences:
    """Return the sequences of a table.

    Args:
        path: ends in ``.csv`` or ``.parquet``.
        columns: which column is what; what it leaves open is guessed from the names.

    Raises:
        DatasetError: the file is none of its kind, or its rows do not make sequences; names the
            row and the column.
    """
    table = read_parquet(path) if path.suffix == ".parquet" else read_csv(path)
    if not table.num_rows:
        raise DatasetError(f"{path.name}: must have rows, but it has none")
    layout = find(path.name, table.schema, columns)
    file = TableFile(path, table.select(layout.used), layout)
    if layout.sequence is None:
        return wide_form(file)
    return long_form(file, layout.sequence)


def read_parquet(path: Path) -> pa.Table:
    """Return the table of a Parquet file."""
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            meta = file.metadata
            room = sum(
                meta.row_group(group).total_byte_size for group in range(meta.num_row_groups)
            )
            check_room(path, room)
            check_names(path, file.schema_arrow.names)
            return file.read()
    except (pa.ArrowException, OSError) as error:
        raise DatasetError(f"{path.name}: must be a Parquet file, but {reason(error)}") from None


def read_csv(path: Path) -> pa.Table:
    """Return the table of a file of comma-separated values, or of semicolons, tabs or bars."""
    from pyarrow import csv

    check_room(path, path.stat().st_size)
    header = first_line(path)
    delimiter = max(DELIMITERS, key=header.count)
    bad: list[csv.InvalidRow] = []

    def note(row: csv.InvalidRow) -> str:
        bad.append(row)
        return "skip"

    def parsed(*, threads: bool) -> pa.Table:
        return csv.read_csv(
            path,
            read_options=csv.ReadOptions(use_threads=threads),
            parse_options=csv.ParseOptions(
                delimiter=delimiter, invalid_row_handler=note, newlines_in_values=True
            ),
        )

    try:
        table = parsed(threads=True)
        if bad:  # only a single thread knows the number of a row
            bad.clear()
            parsed(threads=False)
    except (pa.ArrowException, OSError) as error:
        raise DatasetError(f"{path.name}: must be a table of text, but {reason(error)}") from None
    if bad:
        raise DatasetError(
            f"{path.name}, line {bad[0].number}: must have {bad[0].expected_columns} values as "
            f"the first line has, but has {bad[0].actual_columns}"
        )
    check_names(path, table.column_names)
    if all(is_number(name) for name in table.column_names):
        raise DatasetError(
            f"{path.name}, line 1: must name the columns, but holds numbers alone: {header[:60]}"
        )
    return table


def first_line(path: Path) -> str:
    """Return the first line of a text file.

    Raises:
        DatasetError: it is empty, or no UTF-8.
    """
    with path.open("rb") as file:
        line = file.readline(2**20)
    if not line.strip():
        raise DatasetError(f"{path.name}: must name the columns in its first line, which is empty")
    try:
        return line.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"{path.name}, line 1: must be UTF-8 text, but byte {error.start + 1} is not"
        ) from None


def check_names(path: Path, names: Sequence[str]) -> None:
    """Refuse columns without a name or with the same one."""
    for number, name in enumerate(names, start=1):
        if not name.strip():
            raise DatasetError(f"{path.name}: column {number} must have a name")
        if name in names[: number - 1]:
            raise DatasetError(
                f"{path.name}: a column's name may stand only once, but got {name} twice"
            )


def is_number(text: str) -> bool:
    """Whether a text reads as a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def reason(error: Exception) -> str:
    """Return what pyarrow says, in one line."""
    text = " ".join(str(error).split())
    return re.sub(r"\s*In file .*", "", text)[:200]


def first_word(column: pa.Array) -> tuple[int, str]:
    """Return the place and text of the first value in a column that is no number."""
    for row, text in enumerate(column.to_pylist()):
        if text is not None and not is_number(text):
            return row, text
    return 0, str(column[0])  # every one reads as a number, but is stored as text


def long_form(file: TableFile, sequence: str) -> Sequences:
    """Return sequences of which each row is a step, and a column says of which."""
    layout = file.layout
    encoded = file.whole(sequence).dictionary_encode()
    codes: NDArray[np.int32] = encoded.indices.to_numpy(zero_copy_only=False)
    order = None
    if layout.step is not None:
        order = in_order(file, codes, layout.step)
    elif (np.diff(codes) < 0).any():
        order = np.argsort(codes, kind="stable")
    if order is not None:
        codes = codes[order]
    starts = np.flatnonzero(np.diff(codes, prepend=-1))
    x = np.empty((len(codes), len(layout.features)), np.float32)
    for place, name in enumerate(layout.features):
        column = file.numbers(name)
        x[:, place] = column if order is None else column[order]
    rows = np.arange(len(codes)) if order is None else order
    return Sequences(
        x=x,
        lengths=np.diff(starts, append=len(codes)).astype(np.int64),
        labels=constant(file, file.labels(), layout.label[0], rows, starts),
        features=layout.features,
        targets=layout.label,
        groups=constant_column(file, layout.group, rows, starts),
        times=None if layout.time is None else file.plain(layout.time)[rows[starts]],
    )


def in_order(file: TableFile, codes: NDArray[np.int32], name: str) -> NDArray[np.int64] | None:
    """Return the order in which rows stand by sequence and step; None where they already do.

    Raises:
        DatasetError: a step is missing, no number, or there twice.
    """
    steps = file.plain(name)
    if steps.dtype.kind == "U":
        raise file.fault(name, 0, f"must be a number or a time, but got {str(steps[0])!r}")
    apart = np.diff(codes)
    if not ((apart > 0) | ((apart == 0) & (np.diff(steps) > 0))).all():
        order = np.lexsort((steps, codes))
        codes, steps = codes[order], steps[order]
        twice = np.flatnonzero((np.diff(codes) == 0) & (np.diff(steps) == 0))
        if len(twice):
            first, second = sorted(int(order[twice[0] + one]) for one in (0, 1))
            raise file.fault(
                name, second, f"must differ in a sequence, but row {first + 1} has the same"
            )
        return order
    return None


def constant_column(
    file: TableFile, name: str | None, rows: NDArray[Any], starts: NDArray[Any]
) -> NDArray[Any] | None:
    """Return a column's value for each sequence; None where there is no such column."""
    return None if name is None else constant(file, file.plain(name), name, rows, starts)


def constant(
    file: TableFile, values: NDArray[Any], name: str, rows: NDArray[Any], starts: NDArray[Any]
) -> NDArray[Any]:
    """Return what stands in every row of a sequence.

    Args:
        file: for the message.
        values: [rows] or [rows, targets], in the file's order.
        name: of the column.
        rows: the file's rows in the order of sequences and steps.
        starts: where in ``rows`` each sequence starts.

    Raises:
        DatasetError: rows of one sequence differ.
    """
    ordered = values[rows]
    firsts: NDArray[Any] = ordered[starts]
    lengths = np.diff(starts, append=len(rows))
    differs = ordered != np.repeat(firsts, lengths, axis=0)
    if differs.ndim > 1:
        differs = differs.any(1)
    if differs.any():
        at = int(np.argmax(differs))
        first = int(rows[starts[np.searchsorted(starts, at, side="right") - 1]])
        raise file.fault(
            name,
            int(rows[at]),
            f"must be the same in all rows of a sequence, but is {values[rows[at]]} here and "
            f"{values[first]} in row {first + 1}",
        )
    return firsts


def wide_form(file: TableFile) -> Sequences:
    """Return sequences of which each is a row."""
    layout = file.layout
    count, steps, features = file.table.num_rows, layout.steps, len(layout.features)
    x = np.empty((count, steps, features), np.float32)
    for place, name in enumerate(layout.cells):
        x[:, place // features, place % features] = file.numbers(name)
    return Sequences(
        x=x.reshape(count * steps, features),
        lengths=np.full(count, steps, np.int64),
        labels=file.labels(),
        features=layout.features,
        targets=layout.label,
        groups=None if layout.group is None else file.plain(layout.group),
        times=None if layout.time is None else file.plain(layout.time),
    )
