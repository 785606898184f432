"""What the benchmarks share: options, work over all processors, spreads, and the table."""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table

K = TypeVar("K", bound=Hashable)
R = TypeVar("R")


def machine() -> str:
    """Return on what this runs, and with what."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    libraries = ", ".join(
        f"{name} {version(name)}" for name in ("torch", "ray", "optuna", "mlflow")
    )
    python = f"Python {platform.python_version()}, {libraries}"
    return f"{os.cpu_count()} processors ({processor()}), {memory:.0f} GB, {python}"


def processor() -> str:
    """Return the processor's name, as Linux knows it."""
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


@dataclass(frozen=True)
class Answer:
    """What a benchmark found.

    Attributes:
        columns: heads of the table.
        rows: its cells.
        remarks: sentences that stand below it.
        machine: on which it was found.
    """

    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    remarks: Sequence[str] = ()
    machine: str = field(default_factory=machine)


def spread(values: Sequence[float], form: str = ".2f") -> str:
    """Return the median of repeated measurements, and from where to where they lie."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:{form}} ({low:{form}} to {high:{form}})"


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Return how many times theirs is ours, of measurements that were taken side by side."""
    return [their / our for our, their in zip(ours, theirs, strict=True)]


def gain(before: Sequence[float], after: Sequence[float]) -> str:
    """Return how much better a change is over the seeds, with 95 percent (paired t).

    Without an interval where there are fewer than three: what is equal twice is not sure.
    """
    from scipy import stats  # which workers that are measured do not need

    middle = statistics.fmean(after) - statistics.fmean(before)
    if len(before) < 3:
        return f"{middle:+.2f}"
    low, high = stats.ttest_rel(after, before).confidence_interval(0.95)
    return f"{middle:+.2f} ({low:+.2f} to {high:+.2f})"


def goal(words: str, *, reached: bool) -> str:
    """Return the remark that says of a goal whether it is reached."""
    return f"Goal: {words}: {'reached' if reached else 'missed'}."


def over_processors(
    doing: str, work: Mapping[K, Callable[[], R]], begin: Callable[[], None]
) -> Iterator[tuple[K, R]]:
    """Yield what each piece of work returns, as they end; each processor has a process.

    Args:
        doing: the word for it, beside its progress.
        work: what can be pickled.
        begin: prepares each process.
    """
    with ProcessPoolExecutor(
        os.cpu_count(), mp_context=get_context("spawn"), initializer=begin
    ) as pool:
        waiting = {pool.submit(one): key for key, one in work.items()}
        console = Console(stderr=True)
        for done in track(as_completed(waiting), doing, len(waiting), console=console):
            yield waiting[done], done.result()


def need_two_processors() -> None:
    """End where two workers would share one, as one side starts fewer then."""
    if (os.cpu_count() or 1) < 2:
        sys.exit("two workers of one thread each are compared: this needs two processors")


def warm() -> None:
    """Read the libraries' files into memory, where they are on a machine in use.

    Otherwise what is measured first pays for them, which took a minute where a disk was slow.
    """
    libraries = (
        "mlflow.pytorch, onnx, onnxruntime, optuna, ray.tune, search.commands.cli, torch._dynamo"
    )
    subprocess.run([sys.executable, "-c", f"import {libraries}"], check=True, capture_output=True)


def parser(doc: str) -> argparse.ArgumentParser:
    """Return the options that every benchmark has."""
    made = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--short", action="store_true", help="less of everything: minutes, not hours")
    made.add_argument("--json", action="store_true", help="print the answer for programs")
    return made


def answer(options: argparse.Namespace, measure: Callable[[argparse.Namespace], Answer]) -> None:
    """Measure, and print what was found."""
    found = measure(options)
    if options.json:
        json.dump(asdict(found), sys.stdout)
        return
    table = Table(*found.columns, box=box.SIMPLE_HEAD)
    for row in found.rows:
        table.add_row(*row)
    console = Console(highlight=False)
    console.print(table)
    for remark in (*found.remarks, found.machine):
        console.print(remark)
