"""What commands draw at a terminal, as pictures of the documents."""

import contextlib
import io
import re
import shutil
import tempfile
from pathlib import Path

import aeon.datasets
from rich.console import Console
from rich.text import Text

from tests.search.terminal import Terminal

VOWELS = Path(aeon.datasets.__file__).parent / "data" / "JapaneseVowels"

PATIENCE_S = 3600.0
"""How long a job may take; this machine may have other work."""

HOME, SERVICE = "/home/me/gatetune/.gatetune", "http://127.0.0.1:8765"
"""What pictures call a home and a service, instead of a folder and a port for an hour."""

WIDTH = 110


def lines(output: bytes) -> list[str]:
    """Return the lines that stand at a terminal after an output, with their colours.

    Of all movements those that Rich makes: to the first line, lines up, and to clear a line.
    """
    rows, row = [""], 0
    for part in re.split(r"(\x1b\[[0-9;?]*[A-Za-z]|\n)", output.decode(errors="replace")):
        if part == "\n":
            row += 1
            rows += [""] * (row == len(rows))
        elif up := re.fullmatch(r"\x1b\[(\d*)A", part):
            row -= int(up[1] or 1)
        elif part == "\x1b[H":
            rows, row = [""], 0
        elif part == "\x1b[2K":
            rows[row] = ""
        elif part.endswith("m") or not part.startswith("\x1b["):
            rows[row] += part.replace("\r", "")
    return rows


def draw(shown: list[str], command: str, path: Path, *, prompt: bool = True) -> None:
    """Write lines as a picture of the terminal in which somebody gave a command."""
    console = Console(record=True, file=io.StringIO(), force_terminal=True, width=WIDTH)
    texts = [Text.from_ansi(line) for line in shown]
    while not texts[-1].plain.strip():
        texts.pop()
    for text in [Text(f"$ {command}")] * prompt + texts:
        console.print(text, soft_wrap=True)
    path.write_text(console.export_svg(title=command) + "\n", encoding="utf-8")


def shown_by(terminal: Terminal, here: str, told: str) -> list[str]:
    """Return what stands at a terminal once it has drawn all, with a better name for a place."""
    while terminal.read():
        pass
    return [row.replace(here, told) for row in lines(terminal.output)]


def draw_search(home: Path, document: Path, to: Path) -> str:
    """Run the main job, take it near its end, and return what it says at its end."""
    with Terminal("launch", str(document), rows=40, columns=WIDTH) as terminal:
        terminal.until("11/14 trials", PATIENCE_S)
        draw(shown_by(terminal, str(home), HOME), "make search", to / "search.svg")
        assert terminal.end(PATIENCE_S) == 0
        return "\n".join(Text.from_ansi(row).plain.rstrip() for row in outcome(terminal))


def outcome(terminal: Terminal) -> list[str]:
    """Return what a job says at its end, behind the line that an empty one is before."""
    rows = lines(terminal.output)
    return rows[max(at for at, row in enumerate(rows[:-5]) if "finished" in row) :]


def draw_vowels(to: Path) -> None:
    """Look at nine men's vowels, search on them, and take both."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for part in ("TRAIN", "TEST"):
            shutil.copy(VOWELS / f"JapaneseVowels_{part}.ts", folder)
        with Terminal("init", ".", rows=40, columns=WIDTH) as terminal:
            assert terminal.end() == 0
            draw(lines(terminal.output), "gatetune init .", to / "init.svg")
        launch = ("launch", "JapaneseVowels.yaml")
        with Terminal(*launch, rows=60, columns=WIDTH) as terminal:
            assert terminal.end(PATIENCE_S) == 0
            draw(["", *outcome(terminal)], f"gatetune {' '.join(launch)}", to / "launch.svg")


def draw_top(address: str, to: Path) -> None:
    """Take all jobs of a service at a glance."""
    with Terminal("top", "--server", address, rows=12, columns=WIDTH) as terminal:
        terminal.until("q leaves")
        shown = shown_by(terminal, address, SERVICE)
        draw(shown, "gatetune top", to / "top.svg", prompt=False)
