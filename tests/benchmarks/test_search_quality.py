"""Searches are played on the table of curves."""

import pytest

from benchmarks.curves import TABLE
from benchmarks.judge import DEFAULT, RANDOM
from benchmarks.search_quality import LENGTHS, one, within


@pytest.mark.parametrize("search", [DEFAULT, RANDOM])
def test_a_long_play_begins_as_a_short_one(
    search: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    [long] = within({search: [one(TABLE, "digits", search, 0)]}, LENGTHS[0])[search]
    monkeypatch.setattr("benchmarks.search_quality.played_for", lambda _: LENGTHS[0])
    short = one(TABLE, "digits", search, 0)

    assert len(short) > 1
    assert long == [pytest.approx(found) for found in short]
