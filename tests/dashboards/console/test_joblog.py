from pathlib import Path

from dashboards.console.joblog import LINES, read
from tests.search.service.api.served import fresh


def test_what_a_driver_has_said(tmp_path: Path) -> None:
    home = fresh(tmp_path)
    assert read(home, "tiny-0001") == []
    log = home.path / "logs" / "tiny-0001-driver.log"
    log.parent.mkdir()
    log.write_text(
        '{"time": "2026-01-01T10:00:00", "level": "INFO", "message": "searching"}\n'
        '{"level": "ERROR", "message": "failed", "exc_info": "KeyError: 1"}\n'
        "Fatal Python error\n[1]\n"
    )
    lines = read(home, "tiny-0001")
    assert [line.text for line in lines] == [
        "searching", "failed\nKeyError: 1", "Fatal Python error", "[1]",
    ]  # fmt: skip
    assert lines[0].time == "2026-01-01T10:00:00"


def test_of_a_long_log_the_end(tmp_path: Path) -> None:
    home = fresh(tmp_path)
    (home.path / "logs").mkdir()
    (home.path / "logs" / "a-driver.log").write_text("".join(f"{n}\n" for n in range(50_000)))
    lines = read(home, "a")
    assert len(lines) == LINES
    assert lines[-1].text == "49999"
