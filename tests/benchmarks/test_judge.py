"""How soon searches find what random search finds, of findings made by hand."""

import numpy as np
import pytest

from benchmarks.curves import TABLE
from benchmarks.judge import DEFAULT, RANDOM, Overall, Yardstick, again, held, training
from benchmarks.replay import Found, Table


@pytest.fixture(scope="module")
def tables() -> list[Table]:
    return [Table(TABLE, "digits")]


def judged(tables: list[Table], ours: Found, theirs: Found) -> Yardstick:
    """Return what is said of a search that finds the same in each of 20 repetitions."""
    return Yardstick({DEFAULT: [ours] * 20, RANDOM: [theirs] * 20}, tables)


def best(tables: list[Table], place: int) -> int:
    """Return the configuration that is so many places behind the best."""
    return int(np.argsort(-tables[0].worth)[place])


def test_who_has_the_same_in_half_of_the_time_is_twice_as_soon(tables: list[Table]) -> None:
    middling, good = best(tables, 150), best(tables, 0)

    judge = judged(tables, [(0.1, middling), (0.4, good)], [(0.2, middling), (0.8, good)])

    assert judge.ratios(DEFAULT)[0] == pytest.approx(2, abs=0.01)
    assert judge.sooner(DEFAULT) == "2.00 (2.00 to 2.00)"
    assert judge.against_default(RANDOM) == ["later"]


def test_who_ends_with_less_never_gets_there(tables: list[Table]) -> None:
    judge = judged(tables, [(0.1, best(tables, 150))], [(0.5, best(tables, 0))])

    assert judge.sooner(DEFAULT).startswith("never (0.5")
    assert "better" in judge.against_default(RANDOM)


def test_what_the_trainings_leave_open_tells_none_apart(tables: list[Table]) -> None:
    judge = judged(tables, [(0.5, best(tables, 1))], [(0.5, best(tables, 0))])

    assert judge.ends(RANDOM)[0] > judge.ends(DEFAULT)[0]
    assert judge.against_default(RANDOM) == []


def test_repetitions_of_one_training_share_its_luck() -> None:
    """Of 40 that saw four trainings, the mean is as unsure as of four."""
    seen = np.arange(40) // 2 % 4
    luck = np.array([0.0, 1.0, 2.0, 3.0])[seen]
    random = np.random.default_rng(0)
    drawn = [luck[again(seen, random)].mean() for _ in range(2000)]
    assert np.std(drawn) == pytest.approx(np.std([0, 1, 2, 3]) / 2, rel=0.05)


def test_who_is_lucky_in_one_training_of_four_is_as_unsure_as_of_four() -> None:
    tables = [Table(TABLE, "digits", at) for at in range(4)]
    good, bad = [(0.5, best(tables, 0))], [(0.5, best(tables, 250))]
    lucky = [bad if training(one, 4) else good for one in range(40)]

    judge = Yardstick({DEFAULT: lucky, RANDOM: [bad] * 40}, tables)

    lead = judge.ends(DEFAULT) - judge.ends(RANDOM)
    assert judge.lead(RANDOM) == -lead[0]
    # It is ahead in one of four draws. Of 40 that are drawn each on its own this would be a third.
    assert np.std(lead[1:]) == pytest.approx(lead[0] * np.sqrt(3) / 2, rel=0.1)
    assert judge.ahead(RANDOM).endswith(" to +0.00)")


def test_within_a_training_repetitions_are_drawn_again() -> None:
    seen = np.zeros(50, dtype=int)
    random = np.random.default_rng(0)
    drawn = [np.arange(50)[again(seen, random)].mean() for _ in range(2000)]
    assert np.std(drawn) == pytest.approx(np.std(np.arange(50)) / np.sqrt(50), rel=0.05)


def test_a_search_has_nothing_before_its_first_trial_has_ended() -> None:
    assert held([(0.5, 7), (0.75, 3)], np.array([0.0, 0.5, 0.7, 0.75, 1.0])).tolist() == [
        -1,
        7,
        7,
        3,
        3,
    ]


def test_all_data_have_the_geometric_means(tables: list[Table]) -> None:
    middling, good = best(tables, 150), best(tables, 0)
    twice = judged(tables, [(0.4, good)], [(0.8, good)])
    eight_times = judged(tables, [(0.1, middling)], [(0.8, middling)])

    both = Overall([twice, eight_times])

    assert both.ratios(DEFAULT)[0] == pytest.approx(4, abs=0.02)
    errors = [1 - one.ends(DEFAULT)[0] for one in (twice, eight_times)]
    assert 1 - both.ends(DEFAULT)[0] == pytest.approx(np.sqrt(errors[0] * errors[1]))


def test_who_never_gets_there_on_one_data_set_does_not_on_all(tables: list[Table]) -> None:
    there = judged(tables, [(0.1, best(tables, 0))], [(0.8, best(tables, 0))])
    never = judged(tables, [(0.1, best(tables, 150))], [(0.8, best(tables, 0))])

    assert Overall([there, never]).sooner(DEFAULT).startswith("never")
