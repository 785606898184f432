"""How the steady state of a search is counted."""

from typing import Any, cast

import pytest

from benchmarks.scale_out import Clock
from search.common.trial import Verdict

SLOTS = 8
NOBODY = cast(Any, None)


@pytest.mark.parametrize("rounds", [5, 10])
def test_the_steady_state_of_an_ideal_search_is_the_ideal(
    rounds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr("benchmarks.scale_out.time.perf_counter", lambda: now[0])
    clock = Clock(rounds * SLOTS, SLOTS)
    for _ in range(rounds):
        for _ in range(SLOTS):
            clock.asked(NOBODY)
        for _ in range(3):
            now[0] += 2.0
            for _ in range(SLOTS):
                clock.reported(NOBODY, {}, Verdict.CONTINUE)
    assert clock.rate() == SLOTS / 2.0
