"""`make bench`: every benchmark, one after the other, and the page that shows what they found.

    python -m benchmarks --full growth scale_out

Those that are named alone are run, or all; the page keeps what it says of the others, of those that
failed, and of a GPU where there is none. Each part names the command and the machine that made it,
and ends with what `notes` has about it, which people wrote: what was found elsewhere or before. A
sentence about the run itself is written on the page, and goes with it.
"""

import argparse
import ast
import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from rich.console import Console

from benchmarks.bench import Answer

FOLDER = Path(__file__).parent
NOTES = FOLDER / "notes"
PAGE = FOLDER.parent / "docs" / "performance.md"

QUESTIONS = {
    "time_to_target": "How soon is the peer's best reached?",
    "overhead": "What does the machinery cost?",
    "growth": "How does the cost grow?",
    "training_rate": "How near is training to the machine?",
    "precision": "What does bfloat16 gain?",
    "schedule": "What do one-cycle learning rates gain?",
    "smoothing": "What does label smoothing gain?",
    "threads": "One trial on all processors, or one on each?",
    "gpu_rate": "How fast does a GPU train?",
    "gpu_share": "How many trials should share a GPU?",
    "delivery": "How many results a second?",
    "search_quality": "How good is the search?",
    "warm_start": "What is an earlier search worth?",
    "honesty": "Is a winner one?",
    "time_left": "How well is the time left known?",
    "longest_first": "What does it gain to start the longest trials first?",
    "scale_out": "How does it scale out?",
    "startup": "How fast is a start?",
    "export": "How fast is a winner exported?",
    "memory": "How much memory does a worker take?",
    "kept_memory": "How much memory should it keep for its next step?",
    "padding": "What do sequences of unequal lengths cost?",
    "loading": "How fast is a person's own file loaded?",
    "outage": "What does an MLflow cost that is away?",
    "load": "What does a service answer that many watch?",
    "console": "How fast does the console show a large job?",
}
"""The benchmarks, in the order of the page."""

ON_GPU = {"gpu_rate", "gpu_share"}
"""Those that need a GPU."""

BEGINNING = """# Performance

Each part is made by the command below its heading, and all of them in short form by `make bench`.
Where there is something that a user would pick instead, figures compare with it, on the same work
in the same run; where a measurement was repeated, its median stands before the range.
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
    notes = NOTES / f"{name}.md"
    told = [notes.read_text(encoding="utf-8").strip()] if notes.exists() else []
    return "\n\n".join([*parts, *found.remarks, *told])


def kept() -> dict[str, str]:
    """Return the parts of the page as it is, by the names of their benchmarks."""
    _, *parts = PAGE.read_text(encoding="utf-8").split("\n## ")
    by_question = {part.partition("\n")[0]: f"## {part.rstrip()}" for part in parts}
    return {name: by_question[asked] for name, asked in QUESTIONS.items() if asked in by_question}


def run(name: str, options: Sequence[str]) -> Answer:
    """Run a benchmark in a process of its own.

    Raises:
        CalledProcessError: it failed; what it said is on standard error.
        ValueError: a library printed beside its answer.
    """
    command = [sys.executable, "-m", f"benchmarks.{name}", "--json", *options]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return Answer(**json.loads(done.stdout))


def main() -> None:
    """Run them and write the page."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--full", action="store_true", help="take hours, not minutes")
    parser.add_argument("only", nargs="*", metavar="NAME", help="which; all by default")
    given = parser.parse_args()
    if unknown := set(given.only) - QUESTIONS.keys():
        parser.error(f"{', '.join(sorted(unknown))}: there are {', '.join(QUESTIONS)}")
    console, options = Console(stderr=True, highlight=False), [] if given.full else ["--short"]
    here = [name for name in QUESTIONS if name not in ON_GPU or torch.cuda.is_available()]
    failed = False
    for name in given.only or here:
        began = time.monotonic()
        console.print(f"{QUESTIONS[name]} …")
        try:
            found = run(name, options)
        except (subprocess.CalledProcessError, ValueError) as error:  # others' hours stay
            failed = True
            console.print(f"  {name}: failed ({error})")
        else:
            write(kept() | {name: section(name, found, options)})
            console.print(f"  {name}: {time.monotonic() - began:.0f} s")
    sys.exit(failed)


def write(sections: Mapping[str, str]) -> None:
    """Write the page."""
    parts = [sections[name] for name in QUESTIONS if name in sections]
    page = "\n\n".join([BEGINNING.strip(), *parts])
    PAGE.write_text(f"{page}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
