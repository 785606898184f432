"""Sequences written to files in every format and form that is read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyarrow import csv

from trainables.datasets import SequenceDataset, load_dataset
from trainables.sequences import Sequences
from trainables.sources.columns import Columns
from trainables.sources.files import FileOptions, read

NO_UTF8 = "; an editor or iconv makes UTF-8 of it"
"""What helps where text is in another encoding."""

LONG = "sequence,step,speed,label\na,0,1,x\na,1,2,x\nb,0,3,y\nb,1,4,y\n"
"""The smallest good file in the long form, for tests that break something in it."""


def of_csv(folder: Path, content: str | bytes, columns: Columns | None = None) -> Sequences:
    path = folder / "t.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read(path, columns or Columns())


def dataset(path: Path, options: FileOptions | None = None) -> SequenceDataset:
    return load_dataset(str(path), validation=0.2, seed=0, data_dir=path.parent, options=options)


@dataclass(frozen=True)
class Example:
    """Sequences [steps, features] of float32, a label each, and names of the features."""

    sequences: Sequence[NDArray[Any]]
    labels: Sequence[Any]
    features: tuple[str, ...] = ("speed", "turn")

    @property
    def lengths(self) -> list[int]:
        return [len(one) for one in self.sequences]

    def long(self) -> dict[str, Any]:
        """The columns of a table with a row for each step."""
        x = np.concatenate(self.sequences)
        return {
            "sequence": np.repeat(np.arange(len(self.labels)), self.lengths),
            "step": np.concatenate([np.arange(length) for length in self.lengths]),
            **{name: x[:, place] for place, name in enumerate(self.features)},
            "label": np.repeat(np.array(self.labels), self.lengths),
        }

    def wide(self) -> dict[str, Any]:
        """The columns of a table with a row for each sequence; all are of one length."""
        x = np.stack(self.sequences)
        return {
            **{
                f"{name}_{step}": x[:, step, place]
                for place, name in enumerate(self.features)
                for step in range(x.shape[1])
            },
            "label": np.array(self.labels),
        }


def example(count: int = 40, *, varies: bool = False, seed: int = 0) -> Example:
    """Random walks, every second one a run."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(2, 9, count) if varies else [6] * count
    return Example(
        [rng.standard_normal((length, 2), np.float32) for length in lengths],
        [("run", "walk")[number % 2] for number in range(count)],
    )


def table(columns: dict[str, Any]) -> pa.Table:
    return pa.table(columns)


def long_parquet(path: Path, made: Example) -> None:
    pq.write_table(table(made.long()), path, row_group_size=50)


def wide_parquet(path: Path, made: Example) -> None:
    pq.write_table(table(made.wide()), path)


def long_csv(path: Path, made: Example) -> None:
    csv.write_csv(table(made.long()), path)


def wide_csv(path: Path, made: Example) -> None:
    csv.write_csv(table(made.wide()), path)


def flat_npz(path: Path, made: Example) -> None:
    np.savez(path, x=np.concatenate(made.sequences), y=np.array(made.labels), lengths=made.lengths)


def cube_npz(path: Path, made: Example) -> None:
    np.savez(path, x=np.stack(made.sequences), y=np.array(made.labels))


def archive(path: Path, made: Example) -> None:
    equal = str(len(set(made.lengths)) == 1).lower()
    one = str(len(made.features) == 1).lower()
    classes = " ".join(map(str, dict.fromkeys(made.labels)))
    head = [
        "#a comment", "@problemName example", "@timeStamps false", "@missing true",
        f"@univariate {one}", f"@equalLength {equal}", f"@classLabel true {classes}", "@data",
    ]  # fmt: skip
    rows = [
        ":".join([*(",".join(map(repr_of, channel)) for channel in one.T), str(label)])
        for one, label in zip(made.sequences, made.labels, strict=True)
    ]
    path.write_text("\n".join([*head, *rows]) + "\n", encoding="utf-8")


def repr_of(value: Any) -> str:
    return "?" if np.isnan(value) else repr(float(value))


Writer = Callable[[Path, Example], None]

ANY_LENGTH: dict[str, Writer] = {
    "long.parquet": long_parquet, "long.csv": long_csv, "flat.npz": flat_npz, "archive.ts": archive,
}  # fmt: skip
"""How sequences of unequal lengths are written, by the name of the file."""

ONE_LENGTH: dict[str, Writer] = {
    **ANY_LENGTH, "wide.parquet": wide_parquet, "wide.csv": wide_csv, "cube.npz": cube_npz,
}  # fmt: skip
"""How those of one length are."""


def of_parquet(folder: Path, table: dict[str, Any], columns: Columns | None = None) -> Sequences:
    pq.write_table(pa.table(table), folder / "t.parquet")
    return read(folder / "t.parquet", columns or Columns())


def long_table(**changed: Any) -> dict[str, Any]:
    """The columns of `LONG`, some of them others."""
    good = {
        "sequence": ["a", "a", "b", "b"], "step": [0, 1, 0, 1], "speed": [1.0, 2, 3, 4],
        "label": ["x", "x", "y", "y"],
    }  # fmt: skip
    return {name: column for name, column in (good | changed).items() if column is not None}
