"""Tells how fast a table of sequences is loaded, and how much memory that takes.

A Parquet file with a row for each of the steps of 100,000 sequences of 100 steps, of one feature
and of three, in order and shuffled. Ours reads, checks, splits, standardises and fingerprints it;
beside it what a user would write: pandas' `read_parquet`, `sort_values` where rows are shuffled,
`groupby`, and a list of arrays. Each loads in a process of its own, which has loaded a small file
of the same kind before. Memory is what that process has more than then, as a multiple of all values
in float32: once the data is loaded, and at the most.
"""

import argparse
import gc
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.bench import Answer, answer, parser, ratios, spread
from benchmarks.growth import resident_mb
from trainables.datasets import load_dataset

STEPS = 100


def write(path: Path, sequences: int, features: int, *, shuffled: bool) -> None:
    """Write a table in the long form."""
    rng = np.random.default_rng(0)
    rows = sequences * STEPS
    columns: dict[str, Any] = {
        "sequence": np.repeat(np.arange(sequences), STEPS),
        "step": np.tile(np.arange(STEPS), sequences),
        "label": np.repeat(rng.integers(5, size=sequences), STEPS),
        **{f"x{n}": rng.standard_normal(rows, np.float32) for n in range(features)},
    }
    order = rng.permutation(rows) if shuffled else np.arange(rows)
    pq.write_table(pa.table({name: values[order] for name, values in columns.items()}), path)


def ours(path: Path) -> Any:
    """Load a file as a job does."""
    return load_dataset(str(path), validation=0.1, seed=0, data_dir=path.parent)


def usual(path: Path) -> Any:
    """Load a file as a notebook does."""
    import pandas as pd  # type: ignore[import-untyped]

    table = pd.read_parquet(path)
    if not table["sequence"].is_monotonic_increasing:
        table = table.sort_values(["sequence", "step"])
    names = [name for name in table.columns if name.startswith("x")]
    sequences = table.groupby("sequence")
    return [one.to_numpy() for _, one in sequences[names]], sequences["label"].first().to_numpy()


LOADERS: dict[str, Callable[[Path], Any]] = {"ours": ours, "pandas": usual}


def peak_mb() -> float:
    """Return the most memory that this process has had since it was last asked to forget it."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / 1e6


def load(name: str, path: Path, small: Path) -> dict[str, float]:
    """Load a file in this process and return seconds, and MB once loaded and at the most."""
    loader = LOADERS[name]
    loader(small)
    gc.collect()
    before = resident_mb()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forgets the peak
    began = time.perf_counter()
    held = loader(path)
    took = time.perf_counter() - began
    peak = peak_mb() - before
    gc.collect()
    after = resident_mb() - before
    del held
    return {"seconds": took, "after": after, "peak": peak}


def apart(name: str, path: Path, small: Path) -> dict[str, float]:
    """Load a file in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.loading", "--load", name, str(path), str(small)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def row(folder: Path, sequences: int, features: int, rounds: int, *, shuffled: bool) -> list[str]:
    """Measure one kind of file, with both in turn, and return the table's row."""
    path, small = folder / "table.parquet", folder / "small.parquet"
    write(path, sequences, features, shuffled=shuffled)
    write(small, 1000, features, shuffled=shuffled)
    found: dict[str, list[dict[str, float]]] = {name: [] for name in LOADERS}
    for _ in range(rounds):
        for name, runs in found.items():
            runs.append(apart(name, path, small))
    size_mb = sequences * STEPS * features * 4 / 1e6
    seconds = {name: [run["seconds"] for run in runs] for name, runs in found.items()}
    memory = {
        name: " / ".join(
            f"{max(run[key] for run in runs) / size_mb:.1f}" for key in ("after", "peak")
        )
        for name, runs in found.items()
    }
    return [
        f"{features}, {'shuffled' if shuffled else 'in order'}",
        *(f"{spread(seconds[name], '.1f')} s" for name in LOADERS),
        spread(ratios(seconds["ours"], seconds["pandas"]), ".1f"),
        *(memory[name] for name in LOADERS),
    ]


def measure(options: argparse.Namespace) -> Answer:
    """Measure every kind of file."""
    sequences, rounds = (10_000, 2) if options.short else (100_000, 3)
    with tempfile.TemporaryDirectory() as folder:
        rows = [
            tuple(row(Path(folder), sequences, features, rounds, shuffled=shuffled))
            for features in (1, 3)
            for shuffled in (False, True)
        ]
    return Answer(
        (
            "features, rows",
            "Gatetune",
            "pandas",
            "times as fast",
            "memory",
            "pandas' memory",
        ),
        rows,
        [
            (
                f"{sequences:,} sequences of {STEPS} steps; memory after loading / at the most, as "
                "multiples of the values in float32."
            )
        ],
    )


if __name__ == "__main__":
    options = parser(__doc__ or "")
    options.add_argument("--load", nargs=3, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.load:
        name, *paths = given.load
        json.dump(load(name, *map(Path, paths)), sys.stdout)
    else:
        answer(given, measure)
