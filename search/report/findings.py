"""What a job has found, in sentences with numbers and how sure they are."""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence

from optuna.trial import FrozenTrial, TrialState

from search.common.labels import (
    cost,
    counted,
    describe,
    format_value,
    lead,
    mean_and_deviation,
    probability,
    setting,
)
from search.common.texts import literal
from search.database.result import SURE, Candidate, Gain, Result, mean, sd
from search.document.spec import JobSpec
from trainables.metrics import COUNTED, LOWER, Cost, sign_of

ENOUGH = 10
"""Complete trials of which something can be said about parameters, or about more trials."""

MANY = 100
"""Test sequences from which on intervals of losses, whose values are skewed, hold the truth."""

TOLD = {"cell", "hidden_size", "layers", "learning_rate", "dropout", "bidirectional"}
"""What `describe` says already."""


def spread(values: Sequence[float]) -> str:
    """Return mean and standard deviation, such as ``0.9731 ± 0.0021``."""
    return mean_and_deviation(mean(values), sd(values))


def label(spec: JobSpec, one: Candidate) -> str:
    """Return a candidate's configuration in words, with what differs from the job's training."""
    config, usual = spec.config(one.parameters), spec.config({})
    others = [
        f"{key} {setting(value)}"
        for key, value in one.parameters.items()
        if key not in TOLD and value != getattr(usual, key)
    ]
    return ", ".join([describe(config), *others])


def part(result: Result) -> str:
    """Return the objective in words, such as ``validation accuracy``."""
    return result.metric.replace("val_", "validation ", 1)


def sure(gain: Gain) -> str:
    """Return how much better something is, or worse, with its interval and its probability."""
    by, limits = lead(gain.value, gain.low, gain.high)
    return (
        f"{by} ({limits} with 95 percent); "
        f"the probability that it truly is better is {probability(gain.probability)}"
    )


def verdict(spec: JobSpec, result: Result) -> str:
    """Return the one sentence that a reader wants first."""
    chosen, rival = result.chosen, result.rival
    seeds = counted(len(chosen.runs), "seed")
    runs = f"over {seeds}" if result.confirmed else "in a single run, not confirmed"
    found = f"{label(spec, chosen)} reached {part(result)} {spread(chosen.validation)} {runs}"
    if result.unbeaten is not None:
        name, where = result.unbeaten
        found += f" (no better than {name}{' on the test part' if where == 'test' else ''})"
    if rival is None:
        lost = "No baseline completed" if result.lost_baseline else "The document names no baseline"
        return f"{found}. {lost} to compare with."
    if result.is_alone:
        return f"The baseline stands: {found}. {alone(spec, chosen)}"
    if rival.of == chosen.of:
        return f"The baseline stands: {found}, and nothing that was tried is surely better."
    word = "beats" if result.beats_baseline else "does not surely beat"
    return f"{found} and {word} the baseline, {label(spec, rival)}, at {spread(rival.validation)}."


def alone(spec: JobSpec, baseline: Candidate) -> str:
    """Return that nothing was compared with a baseline, and whether that keeps the limits."""
    limits = spec.objective.limits.items()
    kept = ", ".join(f"{name} within {cost(most)}" for name, most in limits)
    told = f"No other trial{kept and f' with {kept}'} was there to be compared with it."
    costs: dict[str, float] = {name: getattr(baseline, name) for name in spec.objective.limits}
    over = [
        f"{name} of {cost(costs[name])}"
        for name, excess in spec.objective.exceeds(costs).items()
        if excess > 0
    ]
    return f"{told} It is over the limit itself, with {' and '.join(over)}." if over else told


def names(result: Result) -> dict[int, str]:
    """Return what each candidate is called, by the trial that it comes from."""
    told = {one.of: "baseline" for one in result.candidates if one.baseline}
    told[result.chosen.of] = "winner (the baseline)" if result.chosen.baseline else "winner"
    found = [one.of for one in result.candidates if one.of not in told]
    return told | {of: f"candidate {place}" for place, of in enumerate(found, start=2)}


def choice(result: Result) -> str | None:
    """Return whom the winner could not be told from, where it was chosen for its size."""
    if not result.level:
        return None
    others = ", ".join(names(result)[of] for of in result.level if of != result.chosen.of)
    return (
        f"It cannot be told from {others}: they lie within a standard error of the best of them. "
        f"It is the best of those with the smallest network, and was chosen for that."
    )


def advantage(result: Result) -> list[str]:
    """Return how much better the winner is than the baseline and than simple models."""
    told = [
        f"On the {name} part, held against the baseline, it is {sure(gain)}."
        for name, gain in (("validation", result.gain), ("test", result.test_gain))
        if gain is not None
    ]
    if result.chance is not None and result.others:
        told.append(
            f"It is the best of {1 + len(result.others)} that were confirmed. If none of them were "
            f"better than the baseline, the best would look so much better with a probability of "
            f"{probability(result.chance)}; below {SURE} it counts as beaten."
        )
    return told + [
        f"On the test part, held against {one.name}, which sees {one.sees}, it is "
        f"{sure(one.test_gain)}."
        for one in result.simple
        if one.test_gain is not None
    ]


def honesty(result: Result, sequences: int) -> str:
    """Return what the choice has seen, and how far intervals can be trusted.

    Args:
        result: of the job.
        sequences: of the test part.
    """
    rivals = len(result.measured) - 1
    seen = [
        "the chosen configuration",
        *(["the baseline" if rivals == 1 else "the baselines"] if rivals else []),
        *(["the simple models"] if result.simple else []),
    ]
    alone = " and ".join([", ".join(seen[:-1]), seen[-1]] if seen[1:] else seen)
    told = [
        "The choice was made on the validation part.",
        f"The test part was looked at afterwards, for {alone} alone.",
    ]
    if any(one.test_interval for one in result.measured):
        name = result.metric.removeprefix("val_")
        few = sequences < MANY and name not in COUNTED
        told.append(
            "Intervals on the test part hold the truth with 95 percent, over other seeds and other "
            "sequences of the same kind"
            + (f"; of {name} on fewer than {MANY} sequences, less often." if few else ".")
        )
    if any(one.validation_interval for one in result.candidates):
        told.append(
            "Intervals on the validation part may promise too much: epochs and the winner were "
            "chosen on it."
        )
    return " ".join(told)


def cells(spec: JobSpec, result: Result, trials: Sequence[FrozenTrial]) -> list[str]:
    """Return which kind of cell is better, and by how much."""
    kinds = {one.of: spec.config(one.parameters).cell for one in result.candidates}
    ours = kinds[result.chosen.of]
    sign = sign_of(result.direction)
    told = [searched(spec, result, trials)]
    others = [one for one in result.candidates if kinds[one.of] != ours]
    # One that was searched for says more of its kind than the baseline.
    best = max(
        others,
        key=lambda one: (not one.baseline, sign * statistics.fmean(one.validation)),
        default=None,
    )
    if best is not None and best.behind is not None:
        theirs, chance = kinds[best.of], best.behind.probability
        level = SURE / (1 + len(result.others))  # the winner is the best of several
        better = ours if chance > 1 - level else theirs if chance < level else None
        told.append(
            f"{f'{better.upper()} is' if better else 'Neither is surely'} better here. "
            f"Held against {names(result)[best.of]}, the best {theirs.upper()} that was confirmed, "
            f"the winner is {sure(best.behind)}."
        )
    return [one for one in told if one]


def searched(spec: JobSpec, result: Result, trials: Sequence[FrozenTrial]) -> str:
    """Return what the search's single runs of each kind of cell reached."""
    values: dict[str, list[float]] = {}
    for trial in complete(trials):
        config = spec.config_of(trial)
        values.setdefault(config.cell, []).append(trial.value or 0.0)
    best = max if sign_of(result.direction) > 0 else min
    told = [
        f"{cell.upper()}: {format_value(best(found))} at best and "
        f"{format_value(statistics.median(found))} in the median of {len(found)}"
        for cell, found in sorted(values.items())
    ]
    return f"The search's complete trials, one run each: {'; '.join(told)}." if told else ""


def complete(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Return the complete trials, in their order."""
    return [one for one in trials if one.state is TrialState.COMPLETE and one.value is not None]


def mattered(importances: Mapping[str, float], count: int) -> str | None:
    """Return which parameters mattered, in a sentence.

    Args:
        importances: shares of the variance (fANOVA), largest first.
        count: complete trials.
    """
    if not importances:
        return None
    shares = [f"`{name}` {share:.0%}" for name, share in importances.items() if share >= 0.05]
    return (
        "Of the differences between complete trials, this much goes with each parameter (fANOVA): "
        f"{', '.join(shares)}.{hint(count)}"
    )


def hint(count: int) -> str:
    """Return the sentence more that importances of few complete trials need."""
    if count >= ENOUGH:
        return ""
    return f" Of {counted(count, 'complete trial')} this is a hint at the most."


def outlook(result: Result, trials: Sequence[FrozenTrial]) -> str | None:
    """Return whether more trials are likely to help, by the curve of the best so far."""
    ended = [one for one in trials if one.state.is_finished()]
    curve = best_so_far(ended, sign_of(result.direction))
    when = next((at for at, value in enumerate(curve) if value == curve[-1]), 0)
    bound = 0 if result.metric.removeprefix("val_") in LOWER else 1
    if curve and curve[-1] == bound:
        return f"Trial {ended[when].number} reached {bound}: no better {part(result)} is possible."
    if len(ended) < ENOUGH:
        return f"With {counted(len(ended), 'trial')} one cannot say whether more would help."
    half = len(ended) // 2
    if math.isnan(curve[half - 1]):
        return (
            f"None of the first {half} of {len(ended)} trials is complete, so that they do not "
            "say whether more would help."
        )
    gained = curve[-1] - curve[half - 1]
    noise = sd(result.chosen.validation)
    found = (
        f"The best value came with trial {ended[when].number}; the second half of {len(ended)} "
        f"trials made it better by {format_value(gained)}"
    )
    if noise is None:
        return f"{found}."
    likely = "unlikely to help" if gained <= noise else "likely to help"
    word = "less" if gained <= noise else "more"
    return (
        f"{found}, {word} than the {format_value(noise)} by which seeds of the winner deviate: "
        f"more trials are {likely}."
    )


def picks(result: Result, limits: Mapping[Cost, float]) -> list[tuple[str, Candidate]]:
    """Return what a person may take of several objectives, and who it is.

    Args:
        result: with at least one confirmed configuration that was found.
        limits: of costs, from the document.
    """
    sign = sign_of(result.direction)
    found = [one for one in result.candidates if not one.baseline and one.validation]
    if not found:
        return []
    best = max(found, key=lambda one: sign * statistics.fmean(one.validation))
    near = [one for one in found if one.of in result.level] or [best]
    told = [
        ("the best", best),
        ("the smallest that cannot be told from the best", min(near, key=cost_of("weights"))),
    ]
    kept = [one for one in found if all(cost_of(n)(one) <= most for n, most in limits.items())]
    if kept:
        within = " within the limits" if limits else ""
        told.append((f"the fastest{within}", min(kept, key=cost_of("latency_ms"))))
    return told


def cost_of(name: str) -> Callable[[Candidate], float]:
    """Return what reads a cost of a candidate; one that is not known is the highest."""

    def read(one: Candidate) -> float:
        value: float | None = getattr(one, name)
        return math.inf if value is None else value

    return read


def best_so_far(trials: Sequence[FrozenTrial], sign: float) -> list[float]:
    """Return the best value after each trial, more being better; NaN before the first."""
    curve: list[float] = []
    best = math.nan
    for trial in trials:
        if trial.state is TrialState.COMPLETE and trial.value is not None:
            value = sign * trial.value
            best = value if math.isnan(best) else max(best, value)
        curve.append(best)
    return curve


def classes(result: Result, names: Sequence[str]) -> list[tuple[str, str, str, str, str]]:
    """Return a row a class: its name, test sequences, recall, precision and F1 of the model."""
    rows = []
    answered = [sum(column) for column in zip(*result.confusion, strict=True)]
    for place, (name, row) in enumerate(zip(names, result.confusion, strict=True)):
        right, there = row[place], sum(row)
        shares = (
            ratio(right, there), ratio(right, answered[place]),
            ratio(2 * right, there + answered[place]),
        )  # fmt: skip
        rows.append((name, str(there), *shares))
    return rows


def ratio(part_of: int, whole: int) -> str:
    """Return a share, or a dash of nothing."""
    return f"{part_of / whole:.3f}" if whole else "–"


def mistakes(result: Result, names: Sequence[str]) -> str | None:
    """Return the mistake that the model makes most often on the test part."""
    wrong = [
        (count, names[true], names[said])
        for true, row in enumerate(result.confusion)
        for said, count in enumerate(row)
        if true != said
    ]
    total = sum(count for count, *_ in wrong)
    sequences = sum(map(sum, result.confusion))
    if not total:
        return f"All of {sequences} test sequences are told right." if sequences else None
    count, true, said = max(wrong)
    return (
        f"{total} of {sequences} test sequences are told wrong; most often {literal(true)} is "
        f"taken for {literal(said)}, {count} times."
    )
