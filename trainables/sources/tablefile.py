"""A table of which we know what is what: its columns as numpy's arrays, or what is wrong."""

import math
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from trainables.faults import DatasetError, is_number
from trainables.sequences import coarse, unlabelled
from trainables.sources.columns import GROUPS, Layout
from trainables.sources.stored import Stored

Rows = NDArray[np.int64]

Ends = tuple[float, float]
"""The least and the most of some values."""

NO_ENDS: Ends = math.inf, -math.inf

NUMBERS = (pa.types.is_floating, pa.types.is_integer, pa.types.is_boolean, pa.types.is_decimal)
"""What values of a feature may be."""

LONG = (pa.types.is_float64, pa.types.is_int32, pa.types.is_uint32, pa.types.is_int64,
        pa.types.is_uint64, pa.types.is_decimal)  # fmt: skip
"""What holds more digits than numbers of 32 bits do."""

FLOATS = (pa.types.is_float32, pa.types.is_float64)

TEXTS = (pa.types.is_string, pa.types.is_large_string)

UNREAD = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_string_view)
"""What may be text, and is made so."""

WRITTEN = (pa.float64(), pa.timestamp("us"), pa.timestamp("us", tz="UTC"))
"""How text may put rows in order: as numbers, or as times without or with a zone, as ISO 8601."""

TIMES = (pa.types.is_date, pa.types.is_time, pa.types.is_timestamp, pa.types.is_duration)


def is_any(kinds: tuple[Any, ...], kind: pa.DataType) -> bool:
    """Whether a column's type is one of some kinds."""
    return any(is_kind(kind) for is_kind in kinds)


def without_dictionary(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column with its values, never as places in a dictionary."""
    kind = column.type
    return column.cast(kind.value_type) if pa.types.is_dictionary(kind) else column


@dataclass(frozen=True)
class TableFile:
    """An open table, of which we know what is what.

    Attributes:
        stored: the table.
        layout: which column is what.
    """

    stored: Stored
    layout: Layout

    def fault(self, column: str, row: int | None, why: str) -> DatasetError:
        """Return a fault of a column, at a row counted from 0 where it has one."""
        place = "" if row is None else f", row {row + 1}"
        return DatasetError(f"{self.stored.path.name}{place}, column {column}: {why}")

    @staticmethod
    def ends(column: pa.ChunkedArray) -> Ends:
        """Return the least and the most of a column of more than 32 bits, `NO_ENDS` of others."""
        if not is_any(LONG, column.type) or column.null_count == len(column):
            return NO_ENDS
        found = pc.min_max(column).as_py()
        return float(found["min"]), float(found["max"])

    def column(self, name: str) -> pa.ChunkedArray:
        """Return a column; see `readable`."""
        return self.readable(name, self.stored.read([name]).column(name))

    def readable(self, name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
        """Return a column as it was read with text of one kind, never as places in a dictionary.

        Raises:
            DatasetError: bytes are no text.
        """
        column = without_dictionary(column)
        if not is_any(UNREAD, column.type):
            return column
        try:
            return column.cast(pa.large_string())
        except pa.ArrowInvalid:
            for row, value in enumerate(column):
                if not is_utf8(value.as_py() or b""):
                    why = f"must be UTF-8 text, but got {value.as_py()!r}"
                    raise self.fault(name, row, why) from None
            raise

    def numbers(self, name: str, column: pa.ChunkedArray) -> NDArray[np.float32]:
        """Return a feature's column as numbers, NaN for what is missing.

        Raises:
            DatasetError: a value is no number, or infinite.
        """
        kind = column.type
        if is_any(TEXTS, kind):
            row = first_word(column.to_pylist())
            text = column[row].as_py()
            why = f"must be a number, but is the text {text!r}"
            raise self.fault(name, row, f"{why}; {hint(name, text)}")
        if not pa.types.is_null(kind) and not is_any(NUMBERS, kind):
            raise self.fault(name, None, f"must hold numbers, but holds {kind}")
        found = np.empty(len(column), np.float32)
        start = 0
        for chunk in column.chunks:  # so that no copy of the whole is made on the way
            exact = chunk if pa.types.is_float32(kind) else chunk.cast(pa.float64(), safe=False)
            with np.errstate(over="ignore"):
                found[start : start + len(chunk)] = exact.to_numpy(zero_copy_only=False)
            start += len(chunk)
        endless = np.isinf(found)
        if endless.any():
            row = int(endless.argmax())
            got = column[row].as_py()
            raise self.fault(name, row, f"must be finite and at most 3.4e38 in size, but got {got}")
        return found

    def coarse(self, ends: Mapping[str, Iterable[Ends]]) -> str | None:
        """Return `sequences.coarse` of the first feature of which it says anything.

        Args:
            ends: of all columns of each feature.
        """
        for name, several in ends.items():
            lows, highs = zip(*several, strict=True)
            low, high = min(lows), max(highs)
            said = coarse(f"{self.stored.path.name}, column {name}", low, high)
            if low <= high and said is not None:
                return said
        return None

    def whole(self, name: str) -> pa.ChunkedArray:
        """Return a column that says something about rows, and in which nothing may be missing.

        Raises:
            DatasetError: a value is missing, or of a kind that is neither text, number nor time.
        """
        column = self.column(name)
        kind = column.type
        if not pa.types.is_null(kind) and not is_any((*TEXTS, *NUMBERS, *TIMES), kind):
            raise self.fault(name, None, f"must hold text or numbers, but holds {kind}")
        column = trimmed(column)
        row = pc.index(lacks(column), pa.scalar(value=True)).as_py()
        if row >= 0:
            raise self.fault(name, row, "must have a value, but it is empty")
        if pa.types.is_floating(kind):
            row = pc.index(pc.is_finite(column), pa.scalar(value=False)).as_py()
            if row >= 0:
                raise self.fault(name, row, f"must be finite, but got {column[row]}")
        return column

    def is_blank(self, name: str) -> bool:
        """Whether a column holds nothing."""
        return bool(pc.all(lacks(trimmed(self.column(name)))).as_py())

    def numbers_rows(self, name: str) -> bool:
        """Return whether a column holds something else in every row: text, or whole numbers."""
        column = without_dictionary(self.stored.read([name]).column(name))
        if not is_any((*TEXTS, pa.types.is_integer, *FLOATS), column.type):
            return False
        if (
            pa.types.is_floating(column.type)
            and not pc.all(pc.equal(pc.floor(column), column)).as_py()
        ):
            return False
        return bool(pc.count_distinct(column, mode="all").as_py() == len(column))

    def codes(self, name: str) -> NDArray[np.int32]:
        """Return a number for each row, the same for the same value, 0 for the first and so on."""
        encoded = self.whole(name).dictionary_encode()
        parts = [chunk.indices.to_numpy(zero_copy_only=False) for chunk in encoded.chunks]
        return np.concatenate(parts)

    def plain(self, name: str, rows: Rows | None = None) -> NDArray[Any]:
        """Return a column, or some rows of it, as text or as numbers of one kind."""
        column = self.whole(name)
        return plain(column if rows is None else column.take(pa.array(rows)))

    def ordered(self, name: str, rows: Rows | None = None) -> NDArray[Any]:
        """Return a column by which rows are put in order, or some rows of it, as numbers.

        Raises:
            DatasetError: a text is neither a number nor a time.
        """
        column = self.whole(name)
        if is_any(TEXTS, column.type):
            column = self.read_times(name, column)
        if is_any(TIMES, column.type):
            column = column.cast(pa.int32() if column.type.bit_width == 32 else pa.int64())
        return plain(column if rows is None else column.take(pa.array(rows)))

    def read_times(self, name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
        """Return what a column of text says, all of it in one of the ways to write numbers."""
        for kind in WRITTEN:
            with suppress(pa.ArrowInvalid):
                return column.cast(kind)
        row = next((row for row, text in enumerate(column) if not is_written(text)), 0)
        why = f"must be a number, or a time such as 2024-03-01 09:30:00, but got {column[row]!s}"
        raise self.fault(name, row, f"{why} among others" if is_written(column[row]) else why)

    def labels(self, labels: list[NDArray[Any]], count: int) -> NDArray[Any]:
        """Return the one label of each sequence, or [sequences, targets] where there are several.

        Args:
            labels: [sequences] each; there may be none.
            count: sequences.

        Raises:
            DatasetError: there are several, and one is no number.
        """
        if not labels:
            return unlabelled(count)
        if len(labels) == 1:
            return labels[0]
        for name, values in zip(self.layout.label, labels, strict=True):
            if values.dtype.kind == "U":
                text = next(str(one) for one in values if not is_number(str(one)))
                why = f"must be a number, as one of several labels, but got {text!r}"
                raise self.fault(name, None, why)
        return np.stack([values.astype(np.float64) for values in labels], axis=1)


def hint(name: str, text: str | None) -> str:
    """Return what may be meant by a column of text that is to be learned from."""
    if text and "," in text and is_number(text.replace(",", ".")):
        return "decimals are set apart by a dot"
    if text and not any(map(str.isalnum, text)):
        return "a cell that is empty says that a value is missing"
    if text and not is_number(text) and is_written(pa.scalar(text)):
        return f"data.step={name} orders the steps by it, data.time={name} the sequences"
    if name.strip().lower() in GROUPS:
        return f"data.group={name} keeps the sequences of one in the same part"
    return "data.features names what is learned from"


def is_written(text: pa.Scalar) -> bool:
    """Whether a text is a number or a time."""
    for kind in WRITTEN:
        with suppress(pa.ArrowInvalid):
            text.cast(kind)
            return True
    return False


def trimmed(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return text without the blanks around it, and anything else as it is."""
    return pc.utf8_trim_whitespace(column) if is_any(TEXTS, column.type) else column


def lacks(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return of each row of a trimmed column whether it holds nothing."""
    if not is_any(TEXTS, column.type):
        return column.is_null()
    return pc.or_kleene(column.is_null(), pc.equal(pc.utf8_length(column), 0))


def plain(column: pa.ChunkedArray) -> NDArray[Any]:
    """Return values of which none is missing; a time as text."""
    kind = column.type
    if is_any(TEXTS, kind):
        return np.array(column.to_pylist(), dtype=np.str_)
    if is_any(TIMES, kind):
        return np.array(list(map(str, column)), dtype=np.str_)
    if pa.types.is_decimal(kind):
        column = column.cast(pa.float64(), safe=False)
    values: NDArray[Any] = column.to_numpy()
    return values


def first_word(texts: Iterable[str | None]) -> int:
    """Return the row of the first text that is no number, or 0 if every one reads as a number."""
    return next((row for row, text in enumerate(texts) if not is_number(text or "0")), 0)


def is_utf8(data: bytes) -> bool:
    """Whether bytes are text."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
