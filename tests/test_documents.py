"""Documents cannot rot: what they name exists, and what exists they name."""

import re
from pathlib import Path

import pytest
import typer.main

from search.commands.cli import app
from search.document.spec import read_job

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_every_command_is_documented() -> None:
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert {name for name in commands if f"| `{name}" not in page} == set()


def test_every_setting_is_documented() -> None:
    files = (ROOT / "search").rglob("*.py")
    code = "".join(path.read_text(encoding="utf-8") for path in files)
    asked = r"(?:environ\.get\(|local_folder\(|count\(|envvar=)"
    settings = set(re.findall(asked + r'\s*"((?:GATETUNE|MLFLOW|RAY)_[A-Z_]+)"', code))
    assert len(settings) > 10
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    assert {name for name in settings if name not in page} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("path", sorted((ROOT / "jobs").glob("*.yaml")), ids=lambda path: path.stem)
def test_example_jobs_are_valid(path: Path) -> None:
    assert read_job(path).name == path.stem
