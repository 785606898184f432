"""How much memory there is, also in a container, whose limit the machine's numbers do not know."""

from pathlib import Path

import psutil
import pytest

from trainables.sources.room import free_memory

GB = 10**9


@pytest.mark.parametrize(
    ("folder", "limit", "used", "cached"),
    [
        ("", "memory.max", "memory.current", "inactive_file"),
        ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ],
)
def test_a_container_has_what_its_limit_leaves(
    tmp_path: Path, folder: str, limit: str, used: str, cached: str
) -> None:
    group = tmp_path / folder
    group.mkdir(exist_ok=True)
    (group / limit).write_text(f"{GB}\n")
    (group / used).write_text(f"{GB - 3000}\n")
    (group / "memory.stat").write_text(f"anon 5\n{cached} 1000\n")
    assert free_memory(tmp_path) == 4000


@pytest.mark.parametrize("limit", ["max\n", None])
def test_without_a_limit_it_is_the_machines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str | None
) -> None:
    if limit is not None:
        (tmp_path / "memory.max").write_text(limit)
        (tmp_path / "memory.current").write_text("1000\n")
    memory = psutil.virtual_memory()
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    assert free_memory(tmp_path) == memory.available
