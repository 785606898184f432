from search.study.leaders import Leaders


def test_those_that_better_ones_outrank_are_named_once() -> None:
    leaders = Leaders(2)
    for number, worth in enumerate((0.5, 0.7, 0.7, 0.6)):
        leaders.add(number, worth)
    assert leaders.outranked() == [0, 3]
    assert leaders.outranked() == []
    leaders.add(4, 0.7)  # of equals the earlier ones stay
    assert leaders.outranked() == [4]
