"""Tables as text: values that commas, semicolons, tabs or bars set apart."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
from pyarrow import csv

from trainables.faults import DatasetError, is_number
from trainables.sources.room import check_room
from trainables.sources.stored import Stored, check_names
from trainables.sources.text import check_utf8

DELIMITERS = ",;\t|"


@contextmanager
def opened(path: Path) -> Iterator[Stored]:
    """Read a file; it is text in UTF-8, and its first line names the columns.

    Raises:
        DatasetError: it is not so; names the row, counted from the one after the first line.
    """
    check_room(path, path.stat().st_size)
    check_utf8(path)
    header = first_line(path)
    table, bad = parsed(path, header, threads=True)
    if bad:  # only a single thread knows the number of a row
        _, bad = parsed(path, header, threads=False)
        raise DatasetError(
            f"{path.name}, row {bad[0].number - 1}: must have {bad[0].expected_columns} values as "
            f"the first line has, but has {bad[0].actual_columns}"
        )
    check_names(path, table.column_names)
    if all(is_number(name) for name in table.column_names):
        raise DatasetError(
            f"{path.name}, line 1: must name the columns, but holds numbers alone: {header[:60]}"
        )
    yield Stored(path, tuple(table.column_names), table.num_rows, table.select)


def first_line(path: Path) -> str:
    """Return the first line of a text file.

    Raises:
        DatasetError: it is empty, or the only one.
    """
    with path.open(encoding="utf-8-sig") as file:  # whose lines may end in any way
        line = file.readline()
    if not line.strip():
        raise DatasetError(f"{path.name}, line 1: must name the columns, but is empty")
    if not line.endswith("\n"):
        raise DatasetError(f"{path.name}: must have rows, but has one line only")
    return line.rstrip("\n")


def parsed(path: Path, header: str, *, threads: bool) -> tuple[pa.Table, list[csv.InvalidRow]]:
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
            delimiter=max(DELIMITERS, key=header.count),
            invalid_row_handler=note,
            newlines_in_values=True,
        ),
    )
    return table, bad
