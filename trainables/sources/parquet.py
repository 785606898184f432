"""Tables in Parquet files."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from trainables.sources.room import check_room, give_back
from trainables.sources.stored import Names, Stored, check_names

VALUE_BYTES = 4
"""What a value takes at least once it is read, however small it is packed."""

INDEX = "__index_level_"
"""How pandas calls an index without a name, which is none of a person's columns."""


@contextmanager
def opened(path: Path, _names: Names) -> Iterator[Stored]:
    """Open a file, of which each column is read on its own, so that few lie in memory at once.

    It says itself which columns hold numbers.

    Raises:
        DatasetError: it is too large, or columns cannot be told apart.
    """
    with pq.ParquetFile(path) as file:
        meta = file.metadata
        packed = sum(meta.row_group(group).total_byte_size for group in range(meta.num_row_groups))
        check_room(path, max(packed, meta.num_rows * meta.num_columns * VALUE_BYTES))
        names = [name for name in file.schema_arrow.names if not name.startswith(INDEX)]
        check_names(path, names)

        def read(some: Sequence[str]) -> pa.Table:
            give_back()  # of what earlier columns took, pyarrow would keep the size of a few
            return file.read(columns=list(some))

        yield Stored(path, tuple(names), meta.num_rows, read)
