"""The winner: confirmed over several seeds, compared with the baseline, saved for people."""

import statistics
from collections.abc import Iterable, Sequence
from itertools import filterfalse

from optuna.trial import FrozenTrial, TrialState

from search.common.labels import cost
from search.common.texts import last_line
from search.common.trial import Proposal, parameters_of
from search.database.result import Candidate, Result
from search.database.tables import confirmation
from search.document.seeding import derive_seed
from search.document.spec import JobSpec
from search.study.cost import typical_s
from trainables.metrics import sign_of


def by_value(trials: Iterable[FrozenTrial], direction: str) -> list[FrozenTrial]:
    """Return the complete trials, best first; ties keep the earlier one first."""
    complete = [t for t in trials if t.state is TrialState.COMPLETE and t.value is not None]
    return sorted(complete, key=lambda t: (-sign_of(direction) * (t.value or 0.0), t.number))


def finalists(trials: Sequence[FrozenTrial], spec: JobSpec) -> list[FrozenTrial]:
    """Return the trials to confirm: the best `confirm.top` found, then the better baseline.

    Of several objectives those come first than which none is better in all.
    Where these would be of one kind of cell, the last of several makes room for the best of the
    other kind: LSTM or GRU is what people ask, and single runs do not tell.
    """
    others = found(trials, spec)
    first, rest = others[: spec.confirm.top], others[spec.confirm.top :]
    cells = {trial.params.get("cell") for trial in first}
    other = next((trial for trial in rest if trial.params.get("cell") not in cells), None)
    if other is not None and len(first) > 1:
        first[-1] = other
    return first + baselines(trials, spec)[:1]


def is_baseline(trial: FrozenTrial) -> bool:
    """Whether a trial is one that others are compared with."""
    return "baseline" in trial.user_attrs


def baselines(trials: Iterable[FrozenTrial], spec: JobSpec) -> list[FrozenTrial]:
    """Return the baselines that completed, best first."""
    return by_value(filter(is_baseline, trials), spec.objective.direction)


def found(trials: Iterable[FrozenTrial], spec: JobSpec) -> list[FrozenTrial]:
    """Return the complete trials that are no baselines, in the order in which they are confirmed.

    The best come first, of several objectives those than which none is better in all.
    """
    ranked = by_value(filterfalse(is_baseline, trials), spec.objective.direction)
    best = front(ranked, spec) if spec.objective.beside else []
    numbers = {trial.number for trial in best}
    return best + [trial for trial in ranked if trial.number not in numbers]


def front(trials: Sequence[FrozenTrial], spec: JobSpec) -> list[FrozenTrial]:
    """Return the trials than which no other is as good in all objectives and better in one.

    Args:
        trials: complete ones, best first, that know their costs.
        spec: names the objectives.
    """
    sign = sign_of(spec.objective.direction)

    def goods(trial: FrozenTrial) -> list[float]:
        costs = trial.user_attrs["costs"]
        return [sign * (trial.value or 0.0), *(-costs[name] for name in spec.objective.beside)]

    known = [(trial, goods(trial)) for trial in trials if "costs" in trial.user_attrs]
    return [
        trial
        for trial, ours in known
        if not any(
            other != ours and all(one >= own for one, own in zip(other, ours, strict=True))
            for _, other in known
        )
    ]


def replicates(trials: Sequence[FrozenTrial], spec: JobSpec) -> list[Proposal]:
    """Return the confirmation's trials, every finalist with the same fresh seeds.

    Those that take longest come first, so that none of them runs on alone at the end.
    """

    def seconds(trial: FrozenTrial) -> float:
        return typical_s(spec.config_of(trial))

    longest = sorted(finalists(trials, spec), key=lambda trial: -seconds(trial))
    return [
        Proposal(
            parameters=trial.params,
            overrides=trial.user_attrs.get("overrides", {}),
            seed=derive_seed(spec.seed, "confirm", replicate),
            attrs={"replicate": replicate, "of": trial.number}
            | ({"baseline": True} if is_baseline(trial) else {}),
        )
        for trial in longest
        for replicate in range(spec.confirm.seeds)
    ]


def candidate(trial: FrozenTrial, runs: Sequence[FrozenTrial]) -> Candidate:
    """Return a finalist with those of its runs that completed."""
    complete = [run for run in runs if run.state is TrialState.COMPLETE]
    return Candidate(
        of=trial.number,
        parameters=parameters_of(trial),
        baseline=is_baseline(trial),
        runs=tuple(run.number for run in complete),
        validation=tuple(run.value for run in complete if run.value is not None),
        missing=len(runs) - len(complete),
    )


def choose(
    spec: JobSpec, job_id: str, searched: Sequence[FrozenTrial], confirmed: Sequence[FrozenTrial]
) -> Result | None:
    """Return the result of a job from validation values alone, or None if no trial completed.

    A configuration that lost a replicate (diverged, failed) is chosen only if all did, and a
    baseline that costs more than it may only if nothing else completed. Of equal ones the earlier
    is chosen; of those that were not confirmed the one whose weights are kept, which `found` has
    first.
    """
    sign = sign_of(spec.objective.direction)
    costs = {trial.number: trial.user_attrs.get("costs", {}) for trial in searched}
    unconfirmed = [] if confirmed else found(searched, spec)
    places = {trial.number: place for place, trial in enumerate(unconfirmed)}

    def rank(one: Candidate) -> tuple[bool, int, float, int, int]:
        over = spec.objective.is_over(costs[one.of])
        mean = statistics.fmean(one.validation)
        return (over, one.missing, -sign * mean, places.get(one.of, -1), one.of)

    if confirmed:
        finals = [
            candidate(trial, [run for run in confirmed if run.user_attrs["of"] == trial.number])
            for trial in finalists(searched, spec)
        ]
        candidates = sorted((one for one in finals if one.validation), key=rank)
    else:
        every = by_value(searched, spec.objective.direction)
        candidates = sorted((candidate(t, [t]) for t in every), key=rank)
    if not candidates:
        return None
    chosen, *rest = candidates
    return Result(
        metric=spec.objective.metric,
        direction=spec.objective.direction,
        study=confirmation(job_id) if confirmed else job_id,
        confirmed=bool(confirmed),
        chosen=chosen,
        baselines=tuple(one for one in candidates if one.baseline),
        others=tuple(one for one in rest if not one.baseline) if confirmed else (),
        lost_baseline=bool(spec.baseline) and not any(one.baseline for one in candidates),
    )


def nothing_completed(
    searched: Sequence[FrozenTrial], confirmed: Sequence[FrozenTrial], spec: JobSpec
) -> str:
    """Return why a job has found nothing, in a sentence."""
    ends = "`gatetune trials` shows how each one ended"
    trials, what = (
        (confirmed, "replicate of the confirmation") if confirmed else (searched, "trial")
    )
    known = [trial.user_attrs["costs"] for trial in trials if "costs" in trial.user_attrs]
    for name, most in spec.objective.limits.items():
        if known and min(costs[name] for costs in known) > most:
            least = min(costs[name] for costs in known)
            return f"no trial has {name} within {cost(most)}, the least had {cost(least)}; {ends}"
    reasons = [t.user_attrs["reason"] for t in trials if "reason" in t.user_attrs]
    why = f"; the last one failed with: {last_line(reasons[-1])}" if reasons else ""
    return f"no {what} completed{why}; {ends}"
