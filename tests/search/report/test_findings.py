"""The answer in sentences: what it must say, and must not."""

import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial

from search.database.result import Gain, Result, Simple
from search.report import findings
from search.report.findings import cells, choice, label, mattered, mistakes, outlook, verdict
from tests.search.conftest import make_spec
from tests.search.told import BASELINE, OTHER, WINNER, behind, candidate, result

SPEC = make_spec()
SURE = {"chance": 0.001}
LINEAR = Simple(name="a linear model", sees="all", validation=0.95, test=0.5, scores={})


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (
            result(WINNER, BASELINE).model_copy(update=SURE),
            "validation accuracy 0.9100 ± 0.0141 over 2 seeds and beats the baseline",
        ),
        (result(candidate(2, 0.9)).model_copy(update={"confirmed": True}), "0.9000 over 1 seed."),
        (result(WINNER, BASELINE), "does not surely beat the baseline"),
        (result(BASELINE, BASELINE, others=(OTHER,)), "nothing that was tried is surely better."),
        (result(BASELINE, BASELINE), ". No other trial was there to be compared with it."),
        (result(WINNER), "names no baseline"),
        (result(WINNER).model_copy(update={"simple": (LINEAR,)}), "2 seeds (no better than a line"),
        (result(WINNER).model_copy(update={"lost_baseline": True}), "No baseline completed"),
        (result(candidate(2, 0.9)), "in a single run, not confirmed"),
    ],
)
def test_the_verdict(found: Result, said: str) -> None:
    assert said in verdict(SPEC, found)


def test_where_no_trial_keeps_the_limits_the_verdict_says_so() -> None:
    spec = make_spec("objective.limits={weights: 1000000, size_mb: 9.5}")
    large = BASELINE.model_copy(update={"weights": 1234567, "size_mb": 1.25})
    assert verdict(spec, result(large, large)).endswith(
        "No other trial with weights within 1,000,000, size_mb within 9.5 was there to be compared "
        "with it. It is over the limit itself, with weights of 1,234,567."
    )


def test_a_label_names_what_differs_from_the_training_of_the_job() -> None:
    assert label(SPEC, BASELINE) == "GRU 8x1 lr 0.01, schedule constant"
    assert label(SPEC, candidate(1, 0.5, schedule="one-cycle")) == "GRU 8x1 lr 0.01"
    decayed = candidate(1, 0.5, schedule="one-cycle", weight_decay=1 / 3)
    assert label(SPEC, decayed) == "GRU 8x1 lr 0.01, weight_decay 0.3333"


def test_a_smaller_network_that_is_as_good_is_said_to_be_chosen_for_that() -> None:
    larger = candidate(3, 0.9, 0.9, hidden_size=64)
    found = result(WINNER, BASELINE, others=(larger,))
    assert choice(found) is None
    said = choice(found.model_copy(update={"level": (3, 2)})) or ""
    assert said.startswith("It cannot be told from candidate 2: they lie within a standard error")


def test_how_much_better_it_is() -> None:
    gain = Gain(value=0.1, low=0.05, high=0.15, probability=1.0)
    simple = Simple(
        name="a linear model", sees="every value", validation=0.5, test=0.5, scores={},
        test_gain=gain,
    )  # fmt: skip
    found = result(WINNER, BASELINE, others=(OTHER,)).model_copy(
        update=SURE | {"test_gain": gain, "simple": (simple,)}
    )
    said = " ".join(findings.advantage(found))
    assert "On the validation part, held against the baseline, it is better by 0.1000 (0.07" in said
    assert "On the test part, held against the baseline, it is better by 0.1000 (0.0500 to" in said
    assert "best of 2 that were confirmed" in said
    assert "against a linear model, which sees every value, it is better by 0.1000" in said
    assert "is 0.999" in said


def test_what_was_looked_at_and_how_far_intervals_can_be_trusted() -> None:
    single = result(candidate(2, 0.9), BASELINE, BASELINE.model_copy(update={"of": 1}))
    assert findings.honesty(single, 50) == (
        "The choice was made on the validation part. The test part was looked at afterwards, for "
        "the chosen configuration and the baselines alone."
    )
    sure = WINNER.model_copy(update={"test_interval": (0.8, 0.9)})
    found = result(sure, BASELINE).model_copy(update={"simple": (LINEAR,)})
    said = findings.honesty(found, 50)
    assert "for the chosen configuration, the baseline and the simple models alone." in said
    assert "with 95 percent, over other seeds and other sequences of the same kind. Interv" in said
    assert said.endswith("may promise too much: epochs and the winner were chosen on it.")
    of_loss = found.model_copy(update={"metric": "val_loss"})
    assert "of loss on fewer than 100 sequences, less often" in findings.honesty(of_loss, 50)
    assert "less often" not in findings.honesty(of_loss, 100)
    assert "for the chosen configuration alone" in findings.honesty(result(BASELINE, BASELINE), 9)


@pytest.mark.parametrize(
    ("chance", "said"),
    [
        (0.995, "GRU is better here. Held"),
        (0.5, "Neither is surely better here. "),
        (0.008, "LSTM is better here. "),
    ],
)
def test_the_other_cell_is_told_by_one_that_was_searched_for(chance: float, said: str) -> None:
    lstm = candidate(5, 0.7, 0.7, cell="lstm").model_copy(update=behind(0.2, chance))
    base = BASELINE.model_copy(update={"parameters": lstm.parameters})
    trials = [trial(0.7, "lstm"), trial(0.9, "gru"), trial(0.5, "lstm"), trial(None, "gru")]

    first, second = cells(SPEC, result(WINNER, base, others=(lstm, OTHER)), trials)

    assert "GRU: 0.9000 at best and 0.9000 in the median of 1; LSTM: 0.7000 at best" in first
    assert second.startswith(said)
    assert "candidate 2, the best LSTM that was confirmed, the winner is better by 0.2000" in second
    assert "against baseline, the best LSTM" in cells(SPEC, result(WINNER, base), trials)[1]


def trial(value: float | None, cell: str = "gru", number: int = 0) -> FrozenTrial:
    made = create_trial(
        state=TrialState.PRUNED if value is None else TrialState.COMPLETE, value=value
    )
    made.params, made.number = {"cell": cell}, number
    return made


def test_which_parameters_mattered() -> None:
    said = mattered({"learning_rate": 0.7, "hidden_size": 0.26, "layers": 0.04}, 20) or ""
    assert said.endswith("(fANOVA): `learning_rate` 70%, `hidden_size` 26%.")
    assert "a hint at the most" in (mattered({"cell": 1.0}, 4) or "")
    assert mattered({}, 20) is None


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([0.5, 0.9, *[0.8] * 10], "came with trial 1; the second half of 12 trials made it better"),
        ([0.5, 0.9, *[None] * 10], "more trials are unlikely to help"),
        ([0.5, 0.6, *[0.6] * 9, 0.9], "more trials are likely to help"),
        ([None] * 9 + [0.5] * 3, "None of the first 6 of 12 trials is complete"),
        ([0.5] * 9 + [1.0] * 3, "Trial 9 reached 1: no better validation accuracy is possible."),
        ([], "With 0 trials one cannot"),
        ([0.5, 0.9], "With 2 trials one cannot"),
    ],
)
def test_whether_more_trials_would_help(values: list[float | None], said: str) -> None:
    trials = [trial(value, number=number) for number, value in enumerate(values)]
    assert said in (outlook(result(WINNER), trials) or "")


def test_no_loss_is_below_nothing() -> None:
    of_loss = result(WINNER).model_copy(update={"metric": "val_loss", "direction": "minimize"})
    trials = [trial(value, number=number) for number, value in enumerate((0.5, 0.0))]
    assert outlook(of_loss, trials) == "Trial 1 reached 0: no better validation loss is possible."


def test_the_usual_mistake_is_named() -> None:
    found = result(WINNER).model_copy(update={"confusion": ((8, 2), (1, 9))})
    assert mistakes(found, ["a", "b"]) == (
        "3 of 20 test sequences are told wrong; most often a is taken for b, 2 times."
    )
    right = found.model_copy(update={"confusion": ((8, 0), (0, 9))})
    assert mistakes(right, ["a", "b"]) == "All of 17 test sequences are told right."
    assert findings.classes(found, ["a", "b"])[1] == ("b", "10", "0.900", "0.818", "0.857")
    never = found.model_copy(update={"confusion": ((8, 0), (0, 0))})
    assert findings.classes(never, ["a", "b"])[1] == ("b", "0", "–", "–", "–")


def test_what_is_worse_is_not_called_better_by_less_than_nothing() -> None:
    gain = Gain(value=-0.01, low=-0.03, high=0.02, probability=0.2)
    assert findings.sure(gain) == (
        "worse by 0.0100 (-0.0200 to 0.0300 with 95 percent); the probability that it truly is "
        "better is 0.200"
    )
