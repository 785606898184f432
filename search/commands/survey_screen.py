"""What `init` shows of the data that it looked at."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from search.commands.screens import fact
from search.common.labels import BARS, format_value
from search.drafting.survey import Picture, Survey

BAR = 24
"""Characters of the longest bar."""

MOST_CLASSES = 12
"""Classes that are listed."""


def survey_page(console: Console, found: Survey) -> None:
    """Print what was found."""
    console.print(" and ".join(found.files), style="bold", highlight=False, markup=False)
    if found.read_as:
        fact(console, "read as", found.read_as)
    apart = "" if found.test is None else f" to learn from, {found.test:,} to test"
    fact(console, "sequences", f"{found.train:,}{apart}")
    least, median, most = found.lengths
    fact(console, "steps", f"{least} to {most}, median {median:g}" if found.varies else str(most))
    fact(console, "features", f"{len(found.features)}: {', '.join(found.features[:12])}")
    lacking = f"{found.missing:,} of {found.values:,} values" if found.missing else "none"
    fact(console, "missing", lacking)
    if found.classes:
        class_bars(console, found.classes)
    for name, (low, mean, high) in found.targets.items():
        values = f"{format_value(low)} to {format_value(high)}, mean {format_value(mean)}"
        fact(console, f"target {name}", values)
    drawings(console, found.pictures)
    for note in found.notes:
        console.print(f"  {note}", style="yellow", highlight=False, markup=False)


def class_bars(console: Console, classes: dict[str, int]) -> None:
    """Print how many sequences each class has, the largest first."""
    shown = Table(box=None, padding=(0, 1), show_header=False)
    shown.add_column(style="dim")
    shown.add_column(no_wrap=True, max_width=32)
    shown.add_column(justify="right")
    shown.add_column(style="cyan", no_wrap=True)
    most = max(classes.values())
    for place, (name, count) in enumerate(list(classes.items())[:MOST_CLASSES]):
        title = f" {len(classes)} classes" if not place else ""
        shown.add_row(title, escape(name), f"{count:,}", "▇" * max(1, round(BAR * count / most)))
    console.print(shown)
    if len(classes) > MOST_CLASSES:
        least = min(classes.values())
        console.print(f"   and {len(classes) - MOST_CLASSES} more, the smallest of {least:,}")


def drawings(console: Console, pictures: list[Picture]) -> None:
    """Print some sequences, each as a line."""
    shown = Table(box=None, padding=(0, 1), show_header=False)
    shown.add_column(style="dim")
    shown.add_column(no_wrap=True, max_width=16)
    shown.add_column(style="green", no_wrap=True)
    for place, one in enumerate(pictures):
        title = f" feature {one.feature}" if not place else ""
        shown.add_row(escape(title), escape(one.label), "".join(map(bar, one.values)))
    console.print(shown)


def bar(value: float | None) -> str:
    """Return a sign as high as a value from 0 to 1; a blank where there is none."""
    return " " if value is None else BARS[min(len(BARS) - 1, int(value * len(BARS)))]
