"""A driver without a Ray."""

from benchmarks.scale_out import EPOCHS, without_ray


def test_every_trial_that_ends_is_followed_by_another() -> None:
    found = without_ray("SQLite", None, live=4, results=3 * EPOCHS)
    assert (found.database, found.live) == ("SQLite", 4)
    assert found.start_s > 0
    assert found.with_starts < found.rate
