"""What `predict` prints of its answers."""

from pathlib import Path

import pyarrow as pa
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from search.common.labels import format_value
from search.winner.predicting import Predictions

NUMBER = 9
"""Characters of a small number."""

SHOWN = 20
"""Sequences that are listed."""


def prediction_page(console: Console, found: Predictions, to: Path | None) -> None:
    """Print the first predictions, what there is of each class, and how many are right."""
    rows = found.table()
    if found.is_classes and width_of(rows) > console.width:
        surest = pa.array(found.values.max(1))
        rows = rows.select(["sequence", "prediction"]).append_column("probability", surest)
    shown = Table(box=None, padding=(0, 1))
    for name in rows.column_names:
        shown.add_column(
            escape(name), justify="left" if name in {"sequence", "prediction"} else "right"
        )
    for row in rows.slice(0, SHOWN).to_pylist():
        shown.add_row(
            *(
                format_value(one) if isinstance(one, float) else escape(str(one))
                for one in row.values()
            )
        )
    console.print(shown)
    if rows.num_rows > SHOWN:
        console.print(f" … and {rows.num_rows - SHOWN:,} more", style="dim")
    if found.is_classes:
        counted = ", ".join(f"{name} {count:,}" for name, count in found.counts.items())
        console.print(f"\n{rows.num_rows:,} sequences: {counted}", markup=False)
    if found.scores is not None:
        told = ", ".join(f"{name} {format_value(value)}" for name, value in found.scores.items())
        console.print(f"by the labels of the file: {told}")
    if to is not None:
        console.print(f"[green]{escape(str(to))}[/] is written")


def width_of(rows: pa.Table) -> int:
    """Return how many characters a line needs at least, with a space on both sides of a column."""
    return sum(2 + max(len(name), NUMBER) for name in rows.column_names)
