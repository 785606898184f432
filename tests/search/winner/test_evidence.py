"""What may truly be so: intervals that hold the truth, chances no smaller than those of luck."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from search.winner.evidence import Truths, truths
from trainables.goals import Classes, Numbers

RNG = np.random.default_rng(0)


def right(*runs: Tensor) -> Tensor:
    """Return outputs of two classes [runs, sequences, 2], the first of which is right."""
    told = torch.stack(runs).float()
    return torch.stack((told, 1 - told), 2)


def first(runs: int, sequences: int, right_ones: int) -> Tensor:
    """Return runs that all answer the first sequences rightly."""
    return right(*[torch.arange(sequences) < right_ones] * runs)


def accuracy(*answers: Tensor) -> Truths:
    y = torch.zeros(answers[0].shape[1], dtype=torch.int64)
    return truths(Classes(), "accuracy", y, answers, sign=1.0)


def test_without_a_difference_of_seeds_the_interval_is_that_of_a_proportion() -> None:
    found = accuracy(first(3, 500, 450))

    low, high = found.interval(0) or (0.0, 0.0)

    error = 1.96 * (0.9 * 0.1 / 500) ** 0.5
    assert (low, high) == pytest.approx((0.9 - error, 0.9 + error), abs=0.004)


def test_all_right_of_a_few_is_not_always_right() -> None:
    low, high = accuracy(first(3, 40, 40)).interval(0) or (0.0, 0.0)
    assert 0.91 < low < 0.97  # Jeffreys: 0.939
    assert high == pytest.approx(1, abs=1e-3)


def test_few_seeds_that_differ_make_a_wide_interval() -> None:
    told = torch.arange(1000)
    apart = accuracy(right(told < 800, told < 900), right(told < 850, told < 850))
    wide, narrow = (apart.interval(one) or (0.0, 0.0) for one in (0, 1))
    assert wide[1] - wide[0] > 3 * (narrow[1] - narrow[0])


def test_a_single_run_says_nothing() -> None:
    found = accuracy(first(1, 100, 90), first(2, 100, 80))
    assert (found.interval(0), found.gain(0, 1)) == (None, None)
    assert found.interval(1) is not None


def test_a_gain_on_the_same_sequences_is_surer_than_on_others() -> None:
    """Of 500, 20 more are right, and none less."""
    gain = accuracy(first(3, 500, 470), first(3, 500, 450)).gain(0, 1)
    assert gain is not None
    assert gain.value == pytest.approx(0.04)
    assert 0.02 < gain.low < 0.04 < gain.high < 0.07
    assert gain.probability > 0.999


def test_the_same_answers_are_as_good_as_each_other() -> None:
    same = torch.zeros(3, dtype=torch.int64)
    outputs = torch.randn(2, 3, 2)
    found = truths(Classes(), "auroc", same, [outputs, outputs[[0, 0]]], sign=1.0)
    found = Truths(found.metric, 1.0, found.seen, found.draws[[0, 0]])
    gain = found.gain(0, 1)
    assert gain is not None
    assert (gain.value, gain.probability) == (0.0, 0.5)
    assert found.level(0, 1)
    assert found.chance(0, 1, [0]) == 1.0


def test_of_a_loss_less_is_better() -> None:
    goal = Numbers(torch.zeros(1), torch.ones(1))
    y = torch.zeros(200, 1)
    near, far = (size * torch.tensor(RNG.normal(size=(3, 200, 1))).float() for size in (0.5, 1.0))
    found = truths(goal, "mse", y, [near, far], sign=-1.0)
    gain = found.gain(0, 1)
    assert gain is not None
    assert gain.value > 0
    assert gain.probability > 0.9
    assert (found.interval(0) or (-1.0,))[0] >= 0


def off(*errors: float) -> Truths:
    """Return what two runs may reach that are so far off, each as far as the other."""
    outputs = torch.tensor(errors).sqrt()[None, :, None].expand(2, -1, -1)
    goal = Numbers(torch.zeros(1), torch.ones(1))
    return truths(goal, "mse", torch.zeros(len(errors), 1), [outputs], sign=-1.0)


def test_few_sequences_make_the_interval_of_student() -> None:
    errors = [7.0, 8.5, 9.0, 10.0, 11.0, 11.5]
    found = np.quantile(off(*errors).draws[0], (0.025, 0.975))
    wanted = stats.t.interval(0.95, 5, np.mean(errors), stats.sem(errors))
    assert found == pytest.approx(wanted, abs=0.15)  # those of the weights alone are 0.7 nearer


def test_a_single_sequence_says_nothing_of_others() -> None:
    found = off(4.0)
    assert found.seen == pytest.approx(4)
    assert found.interval(0) is None
    assert found.gain(0, 0) is None


def test_the_best_of_many_needs_more_to_be_sure() -> None:
    noise = [right(*[torch.tensor(RNG.random(300) < 0.8) for _ in range(3)]) for _ in range(11)]
    found = accuracy(*noise)
    best = int(found.seen[1:].argmax()) + 1
    alone = found.chance(best, 0, [best])
    assert alone < found.chance(best, 0, range(1, 11))
    assert found.chance(best, 0, range(1, 11)) > 0.025


def test_chance_and_probability_agree_where_draws_are_skewed() -> None:
    goal = Numbers(torch.zeros(1), torch.ones(1))
    y = torch.zeros(40, 1)
    near, far = (torch.tensor(RNG.standard_t(3, (5, 40, 1)) * s).float() for s in (0.3, 1.5))
    found = truths(goal, "mse", y, [near, far], sign=-1.0)
    gain = found.gain(0, 1)
    assert gain is not None
    assert found.chance(0, 1, [0]) == pytest.approx(1 - gain.probability, abs=1e-9)


def test_all_in_order_is_not_always_in_order() -> None:
    y = torch.tensor([0, 1] * 20)
    sure = torch.nn.functional.one_hot(y, 2).float().expand(3, -1, -1)
    found = truths(Classes(), "auroc", y, [sure, torch.zeros(3, 40, 2)], sign=1.0)
    low, high = found.interval(0) or (1.0, 1.0)
    assert 0.85 < low < 0.99 < high
    assert found.chance(0, 1, [0]) < 0.001


def test_draws_in_pieces_are_draws_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = torch.randn(2, 50, 3)
    y = torch.tensor(RNG.integers(0, 3, 50))

    def draw() -> Truths:
        return truths(Classes(), "loss", y, [outputs], sign=-1.0)

    once = draw()
    monkeypatch.setattr("search.winner.evidence.AT_ONCE", 50 * 7)
    assert draw().draws == pytest.approx(once.draws)
