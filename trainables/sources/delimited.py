"""Tables as text: values that commas, semicolons, tabs or bars set apart."""

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from csv import Error, reader
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from trainables.faults import DatasetError, is_number
from trainables.sources.room import check_room
from trainables.sources.stored import Names, Stored, check_names
from trainables.sources.text import check_utf8

DELIMITERS = ",;\t|"

VALUE_BYTES = 12
"""Of memory for a value: 8 as it is read, 4 as networks see it."""

EMPTY = pa.array(csv.ConvertOptions().null_values)
"""What says that a number is missing."""

WHOLE = r"^(0|-?[1-9][0-9]{0,17})$"
"""A whole number as a program writes it: 007 is a name, as are more digits than 64 bits have."""

NUMBER = r"^[+-]?((0|[1-9][0-9]{0,14})(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?$"
"""Any number that 64 bits hold."""


@contextmanager
def opened(path: Path, names: Names) -> Iterator[Stored]:
    """Read a file; it is text in UTF-8, and its first line names the columns.

    Args:
        path: the file.
        names: tells which of the columns hold names, and whether they may be numbers with
            fractions. They are read as they are written, since 007 or 1.10 may be no number.

    Raises:
        DatasetError: it is not so; names the row, counted from the one after the first line.
    """
    check_room(path, in_memory(path))
    check_utf8(path)
    header = first_line(path)
    delimiter = delimiter_of(header)
    try:
        columns = next(reader([header], delimiter=delimiter))
    except Error as error:  # a name that is longer than any is meant to be
        raise DatasetError(f"{path.name}, line 1: must name the columns, but {error}") from error
    check_names(path, columns)
    if all(is_number(name) for name in columns):
        raise DatasetError(
            f"{path.name}, line 1: must name the columns, but holds numbers alone: {header[:60]}"
        )
    texts = names(columns)
    table, bad = parsed(path, header, delimiter, texts, threads=True)
    if bad:  # only a single thread knows the number of a row
        _, bad = parsed(path, header, delimiter, texts, threads=False)
        raise DatasetError(
            f"{path.name}, row {bad[0].number - 1}: must have {bad[0].expected_columns} values as "
            f"the first line has, but has {bad[0].actual_columns}"
        )
    for name, fractions in texts.items():
        place = columns.index(name)
        found = as_written(table.column(place), fractions=fractions)
        table = table.set_column(place, name, found)
    yield Stored(path, tuple(table.column_names), table.num_rows, table.select)


def delimiter_of(header: str) -> str:
    """Return what sets the names of columns apart, outside quotes."""
    return max(DELIMITERS, key=re.sub('"[^"]*"', "", header).count)


def in_memory(path: Path) -> int:
    """Return about how many bytes the values of a text file take, by its beginning."""
    size = path.stat().st_size
    with path.open("rb") as file:
        sample = file.read(2**20)
    delimiter = delimiter_of(sample.partition(b"\n")[0].decode(errors="replace"))
    values = sample.count(delimiter.encode()) + sample.count(b"\n")
    return max(size, size * values * VALUE_BYTES // max(1, len(sample)))


def first_line(path: Path) -> str:
    """Return the first line of a text file.

    Raises:
        DatasetError: it is empty, or the only one.
    """
    with path.open(encoding="utf-8-sig") as file:  # whose lines may end in any way
        line = file.readline()
    if not line.strip():
        raise DatasetError(f"{path.name}, line 1: must name the columns, but is empty")
    if re.fullmatch('"?sep=.?"?\\s*', line):
        raise DatasetError(
            f"{path.name}, line 1: must name the columns, but tells Excel what sets them apart; "
            "without that line they are found as they are"
        )
    if not line.endswith("\n"):
        raise DatasetError(f"{path.name}: must have rows, but has one line only")
    return line.rstrip("\n")


def as_written(texts: pa.ChunkedArray, *, fractions: bool) -> pa.ChunkedArray:
    """Return a column of names as numbers, where nothing of them is lost, else as it is."""
    known = pc.if_else(pc.is_in(texts, value_set=EMPTY), pa.scalar(None, texts.type), texts)
    if known.null_count == len(known):
        return pa.chunked_array([pa.nulls(len(known))])
    for pattern, kind in ((WHOLE, pa.int64()), (NUMBER, pa.float64())):
        asked = fractions or kind == pa.int64()
        if asked and pc.all(pc.match_substring_regex(known, pattern)).as_py():
            return known.cast(kind)
    return texts


def parsed(
    path: Path, header: str, delimiter: str, texts: Collection[str], *, threads: bool
) -> tuple[pa.Table, list[csv.InvalidRow]]:
    """Return a table, and the rows that do not fit its columns."""
    bad: list[csv.InvalidRow] = []

    def note(row: csv.InvalidRow) -> str:
        bad.append(row)
        return "skip"

    # Pyarrow reads block by block, and a row has to fit into one.
    block = min(max(2**20, 64 * len(header)), 2**30)
    table = csv.read_csv(
        path,
        read_options=csv.ReadOptions(use_threads=threads, block_size=block),
        parse_options=csv.ParseOptions(
            delimiter=delimiter,
            invalid_row_handler=note,
            newlines_in_values=True,
        ),
        convert_options=csv.ConvertOptions(column_types=dict.fromkeys(texts, pa.string())),
    )
    return table, bad
