from dashboards.console.drawing import middle


def test_a_bad_tenth_does_not_squeeze_the_rest() -> None:
    values = [0.1, *(0.9 + n / 1000 for n in range(30))]
    low, high = middle(values, maximize=True) or (0, 0)
    assert low > 0.85
    assert high > 0.929
    assert middle(values[:5], maximize=True) is None
