"""The time left, on a clock that the test sets."""

from collections.abc import Callable, Iterator

import pytest
from optuna.trial import create_trial

from search.common.trial import LiveTrial, Proposal, Verdict
from search.database.lease import Lease
from search.database.store import Store
from search.document.spec import JobSpec
from search.study.cost import Cost, Sizes
from search.study.forecast import Endings, Forecast
from search.study.study import JobStudy
from tests.search.conftest import asked, make_spec
from trainables.config import Parameters

SIZES = Sizes(train=1149, validation=288, steps=8, inputs=8, outputs=10)
SMALL: Parameters = {"cell": "gru", "hidden_size": 8, "learning_rate": 0.01}
LARGE: Parameters = {"cell": "lstm", "hidden_size": 64, "learning_rate": 0.01}


class Watch:
    """A study, its forecast, and a clock."""

    def __init__(self, study: JobStudy) -> None:
        self.study = study
        self.now = 0.0
        self.cost = Cost(SIZES)
        self.forecast = self.renewed()

    def renewed(self) -> Forecast:
        return Forecast(self.study, self.cost, lambda: self.now, lambda: self.now)

    def ask(self) -> LiveTrial:
        live = asked(self.study)
        self.forecast.asked(live)
        return live

    def report(self, live: LiveTrial, *, after: float = 0.0, outcome: str = "running") -> Verdict:
        """Report an epoch that took as long as is expected, or with what is around it `after`."""
        took = self.seconds(live)
        self.now += after or took
        metrics = {"val_accuracy": 0.5, "val_loss": 0.5, "epoch_s": took}
        verdict = self.study.report(live.number, live.acknowledged + 1, metrics, outcome)
        self.forecast.reported(live, metrics, verdict)
        return verdict

    def seconds(self, live: LiveTrial) -> float:
        return self.cost.seconds(self.cost.work(live.config))

    def left(self) -> float:
        left = self.forecast.left()
        assert left is not None
        return left


Make = Callable[..., Watch]


@pytest.fixture
def make(store: Store, owned: Callable[[Store, JobSpec], Lease]) -> Iterator[Make]:
    studies: list[JobStudy] = []

    def build(*overrides: str, fixed: int = 0, trials: int | None = None) -> Watch:
        spec = make_spec(*overrides)
        known = [Proposal(LARGE if n == 0 else SMALL, {}) for n in range(fixed)]
        lease = owned(store, spec)
        study = JobStudy(
            store, lease, spec, name=lease.job_id, fixed=known, trials=trials or fixed,
            searching=True,
        )  # fmt: skip
        studies.append(study)
        return Watch(study)

    yield build
    for study in studies:
        study.shut()


def test_nothing_is_known_before_the_first_epoch(make: Make) -> None:
    watch = make(fixed=2)
    watch.ask()
    assert watch.forecast.left() is None


def test_each_trial_that_is_known_counts_as_what_it_costs(make: Make) -> None:
    watch = make(fixed=4)
    large = watch.ask()
    watch.report(large)
    small_s = 4 * watch.cost.seconds(watch.cost.work(watch.study.spec.config(SMALL)))
    large_s = watch.seconds(large)
    assert watch.left() == pytest.approx(3 * large_s + 3 * small_s)
    watch.forecast.slots = 2
    assert watch.left() == pytest.approx((3 * large_s + 3 * small_s) / 2)
    watch.forecast.slots = 100
    assert watch.left() == pytest.approx(max(3 * large_s, small_s)), "no trial is shared"


def test_an_epoch_that_runs_counts_for_the_time_that_it_has(make: Make) -> None:
    watch = make(fixed=1)
    live = watch.ask()
    watch.report(live)
    epoch_s = watch.seconds(live)
    watch.now += epoch_s / 4
    assert watch.left() == pytest.approx(2.75 * epoch_s)
    watch.now += 10 * epoch_s
    assert watch.left() == pytest.approx(2 * epoch_s), "an epoch is not done before it is reported"


def test_what_is_around_the_epochs_counts_and_the_start_of_a_worker_does_not(make: Make) -> None:
    watch = make(fixed=1)
    live = watch.ask()
    watch.report(live, after=100.0)
    epoch_s = watch.seconds(live)
    assert watch.left() == pytest.approx(3 * epoch_s)
    watch.report(live, after=3 * epoch_s)
    assert watch.left() == pytest.approx(2 * 3 * epoch_s)


def test_a_trial_that_waits_counts_and_one_that_failed_does_not(make: Make) -> None:
    watch = make(fixed=1)
    live = watch.ask()
    watch.report(live)
    before = watch.left()
    assert watch.study.fail(live.number, "gone")
    watch.forecast.lost(live, again=True)
    assert watch.left() == pytest.approx(before)
    watch.forecast.asked(asked(watch.study))
    watch.study.fail(live.number, "MemoryError")
    watch.study.live[0] = watch.study.waiting.pop()
    assert not watch.study.fail(0, "MemoryError")
    watch.forecast.lost(live, again=False)
    assert watch.left() == 0.0


def test_what_the_sampler_will_draw_is_the_space_and_then_what_it_drew(make: Make) -> None:
    watch = make(trials=1000)
    watch.report(watch.ask(), outcome="complete")
    whole = watch.left() / 999
    for _ in range(100):
        watch.report(watch.ask(), outcome="complete")
    assert watch.left() / 899 < whole / 2, "all trials complete after one epoch of four"


def test_a_start_looks_back_on_those_before(make: Make) -> None:
    watch = make(trials=100)
    for _ in range(20):
        live = watch.ask()
        watch.report(live)
        watch.study.end(live, Verdict.PRUNED)
        watch.forecast.ended(live)
    again = watch.renewed()
    assert (again.drawn, again.endings.reached[1], again.endings.ended[1]) == (20, 20, 20)


def test_trials_of_earlier_jobs_are_not_looked_back_on(make: Make) -> None:
    watch = make(trials=100)
    watch.study.mirror.study.add_trial(
        create_trial(
            value=0.5, params=dict(SMALL), intermediate_values={1: 0.5},
            distributions=watch.study.mirror.space.distributions(SMALL),
        )
    )  # fmt: skip
    assert watch.renewed().drawn == 0


def test_a_space_may_hold_fewer_trials_than_the_budget(make: Make) -> None:
    watch = make("space={cell: [gru, lstm], hidden_size: [16]}", trials=1000)
    assert watch.forecast.undrawn() == 2
    watch.report(watch.ask(), outcome="complete")
    assert watch.forecast.undrawn() == 1


@pytest.mark.parametrize("aim", ["objective={beside: []}", "objective={beside: [weights]}"])
def test_a_trial_that_diverged_is_looked_back_on_as_one_that_ended_early(
    make: Make, aim: str
) -> None:
    watch = make(aim, "pruner=none", trials=20)
    for _ in range(5):
        watch.report(watch.ask(), outcome="diverged")
    again = watch.renewed()
    assert (again.drawn, again.endings.ended[1]) == (5, 5)


def test_the_budget_of_hours_is_an_end(make: Make) -> None:
    watch = make("budget.hours=0.001", trials=1000)
    watch.report(watch.ask())
    assert watch.left() == pytest.approx(3.6 - watch.now)
    watch.study.close("hours")
    assert watch.left() <= 3.6 - watch.now


def test_trials_are_expected_to_end_as_those_before_them_did() -> None:
    endings = Endings()
    assert endings.epochs_left(0, 8) == 8
    for place in range(9):
        endings.note(1, early=place < 5)  # half of ten, the tenth being hope
    for place in range(4):
        endings.note(2, early=place < 1)  # a fifth
    assert endings.epochs_left(0, 8) == pytest.approx(1 + 0.5 * (1 + 0.8 * 6))
    assert endings.epochs_left(1, 8) == pytest.approx(1 + 0.8 * 6)
    assert endings.epochs_left(2, 8) == 6
    assert Endings([(1, 0.5)]).epochs_left(0, 8) == pytest.approx(1 + 0.6 * 7), "as if of four"
    assert endings.epochs_left(0, 1) == 1, "the end that it comes to anyway is not early"
