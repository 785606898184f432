"""The page that the benchmarks write."""

from pathlib import Path

import pytest

from benchmarks.__main__ import NOTES, QUESTIONS, kept, section
from benchmarks.bench import Answer

FOUND = Answer(("what", "how much"), [("a | b", "1")], ["Goal: one: reached."], "a machine")


def test_a_part_says_how_it_was_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("benchmarks.__main__.NOTES", tmp_path)
    told = section("startup", FOUND, ["--short"])
    assert told.startswith(
        f"## {QUESTIONS['startup']}\n\n`python -m benchmarks.startup --short` on "
    )
    assert "| a \\| b | 1 |" in told
    assert told.endswith("Goal: one: reached.")


def test_what_people_noted_outlives_a_new_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("benchmarks.__main__.NOTES", tmp_path)
    (tmp_path / "startup.md").write_text("On another machine: two.\n", encoding="utf-8")
    assert section("startup", FOUND, []).endswith("reached.\n\nOn another machine: two.")


def test_the_page_ends_its_parts_with_the_notes() -> None:
    for note in NOTES.iterdir():
        assert kept()[note.stem].endswith(note.read_text(encoding="utf-8").strip())
