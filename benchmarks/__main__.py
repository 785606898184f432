"""`make bench`: every benchmark, one after the other, and the page that shows what they found."""

import argparse
import ast
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import torch
from rich.console import Console

from benchmarks.bench import Answer

FOLDER = Path(__file__).parent
PAGE = FOLDER.parent / "docs" / "performance.md"

QUESTIONS = {
    "time_to_target": "How soon is the peer's best reached?",
    "overhead": "What does the machinery cost?",
    "growth": "How does the cost grow?",
    "training_rate": "How near is training to the machine?",
    "precision": "What does bfloat16 gain?",
    "smoothing": "What does label smoothing gain?",
    "gpu_rate": "How fast does a GPU train?",
    "gpu_share": "How many trials should share a GPU?",
    "delivery": "How many results a second?",
    "search_quality": "How good is the search?",
    "warm_start": "What is an earlier search worth?",
    "honesty": "Is a winner one?",
    "time_left": "How well is the time left known?",
    "scale_out": "How does it scale out?",
    "startup": "How fast is a start?",
    "memory": "How much memory does a worker take?",
    "padding": "What do sequences of unequal lengths cost?",
    "loading": "How fast is a person's own file loaded?",
    "outage": "What does an MLflow cost that is away?",
    "load": "What does a service answer that many watch?",
    "console": "How fast does the console show a large job?",
}
"""The benchmarks, in the order of the page."""

ON_GPU = {"gpu_rate", "gpu_share"}
"""Those of a GPU: where there is none, the page keeps what it says of one."""

BEGINNING = """# Performance

Made by `make bench{full}`. Each figure compares with what a user would pick instead, on the same
work in the same run; where a measurement was repeated, its median stands before the range.

With {versions}.
"""


def about(name: str) -> str:
    """Return what a benchmark's file says of itself, without its first sentence."""
    tree = ast.parse((FOLDER / f"{name}.py").read_text(encoding="utf-8"))
    _, _, rest = (ast.get_docstring(tree) or "").partition("\n\n")
    return rest


def cell(text: str) -> str:
    """Return a cell of a Markdown table."""
    return text.replace("|", "\\|")


def table(found: Answer) -> str:
    """Return an answer's table in Markdown."""
    lines = [found.columns, tuple("---" for _ in found.columns), *found.rows]
    return "\n".join(f"| {' | '.join(map(cell, line))} |" for line in lines)


def section(name: str, found: Answer, options: Sequence[str]) -> str:
    """Return a benchmark's part of the page."""
    command = " ".join(["python -m", f"benchmarks.{name}", *options])
    parts = [f"## {QUESTIONS[name]}", f"`{command}` on {found.machine}", about(name), table(found)]
    return "\n\n".join([*parts, *found.remarks])


def kept(name: str) -> str:
    """Return a benchmark's part of the page as it is there.

    Raises:
        LookupError: there is none.
    """
    heading = f"## {QUESTIONS[name]}\n"
    _, found, rest = PAGE.read_text(encoding="utf-8").partition(heading)
    if not found:
        raise LookupError(f"{PAGE} says nothing of {name}, and there is no GPU to ask")
    return heading + rest.partition("\n## ")[0].rstrip()


def run(name: str, options: Sequence[str]) -> Answer:
    """Run a benchmark in a process of its own.

    Raises:
        CalledProcessError: it failed; what it said is on standard error.
    """
    command = [sys.executable, "-m", f"benchmarks.{name}", "--json", *options]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return Answer(**json.loads(done.stdout))


def main() -> None:
    """Run them and write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--full", action="store_true", help="take hours, not minutes")
    parser.add_argument("only", nargs="*", help="print what these find, and leave the page alone")
    given = parser.parse_args()
    console, options = Console(stderr=True, highlight=False), [] if given.full else ["--short"]
    sections, failed = [], []
    for name in given.only or QUESTIONS:
        began = time.monotonic()
        console.print(f"{QUESTIONS[name]} …")
        try:
            if name in ON_GPU and not (given.only or torch.cuda.is_available()):
                sections.append(kept(name))
            else:
                sections.append(section(name, run(name, options), options))
        except (LookupError, subprocess.CalledProcessError):  # what others take an hour for stays
            failed.append(name)
        console.print(f"  {name}: {time.monotonic() - began:.0f} s")
    if failed:
        console.print(f"failed, and left out: {', '.join(failed)}")
    if given.only:
        print("\n\n".join(sections))
        sys.exit(bool(failed))
    libraries = ("torch", "ray", "optuna", "mlflow")
    beginning = BEGINNING.format(
        full=" FULL=1" if given.full else "",
        versions=", ".join(f"{library} {version(library)}" for library in libraries),
    )
    PAGE.write_text("\n\n".join([beginning.strip(), *sections]) + "\n", encoding="utf-8")
    console.print(f"written: {PAGE}")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
