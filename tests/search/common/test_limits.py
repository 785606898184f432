import pytest

from search.common.home import SettingsError
from search.common.limits import Limits, count, least

SETTINGS = {
    "jobs": "GATETUNE_MAX_JOBS",
    "owner_jobs": "GATETUNE_MAX_JOBS_PER_OWNER",
    "trials": "GATETUNE_MAX_TRIALS",
    "owner_trials": "GATETUNE_MAX_TRIALS_PER_OWNER",
}


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for setting in SETTINGS.values():
        monkeypatch.delenv(setting, raising=False)


def test_nothing_is_limited_unless_it_is_set() -> None:
    limits = Limits.from_environment()
    assert limits == Limits(None, None, None, None)
    assert limits.most_jobs is None
    assert limits.most_owner_jobs is None


@pytest.mark.parametrize("field", SETTINGS)
def test_each_setting_sets_one_limit(field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SETTINGS[field], "7")
    assert vars(Limits.from_environment()) == dict.fromkeys(SETTINGS) | {field: 7}


@pytest.mark.parametrize("field", SETTINGS)
@pytest.mark.parametrize("given", ["0", "-1", "1.5", "many", " "])
def test_a_limit_that_is_no_number_of_at_least_one_is_refused(
    field: str, given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SETTINGS[field], given)
    with pytest.raises(
        SettingsError, match=f"{SETTINGS[field]} must be a whole number of .* got '{given}'$"
    ):
        Limits.from_environment()


def test_an_empty_setting_is_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATETUNE_MAX_JOBS", "")
    assert Limits.from_environment().jobs is None
    assert count("GATETUNE_MAX_JOBS", default=5) == 5


def test_jobs_at_once_are_no_more_than_trials_at_once() -> None:
    assert Limits(jobs=3, trials=2).most_jobs == 2
    assert Limits(jobs=2, trials=3).most_jobs == 2
    assert Limits(trials=3).most_jobs == 3
    assert Limits(owner_jobs=3, owner_trials=2, jobs=1).most_owner_jobs == 2
    assert Limits(owner_trials=3).most_owner_jobs == 3


def test_the_least_of_no_limits_is_none() -> None:
    assert least(None, None) is None
    assert least(None, 4, 2) == 2
