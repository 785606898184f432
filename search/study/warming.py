"""What a search takes over from earlier jobs: trials of the same data, first draws for others."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice, zip_longest
from typing import Any, Literal

from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy import select

from search.common.faults import SpecError
from search.common.labels import counted
from search.common.trial import Verdict
from search.database.jobrow import JobRow
from search.database.storage import both_studies
from search.database.store import Store
from search.database.tables import Job
from search.document.sections import MOST_JOBS, Direction
from search.document.space import Space
from search.document.spec import JobSpec
from search.jobs.jobs import JobNotFoundError, find
from search.jobs.listing import best_trial
from search.study.champion import by_value
from search.study.portfolio import entries, fitted
from trainables.config import Parameters, TrialConfig
from trainables.metrics import sign_of

MOST_TRIALS = 1000
"""Trials that are taken over at most, which is as far as samplers look back."""

MOST_FIRST = 3
"""Configurations that are tried first: of the first trials a sampler learns where to look, and more
of what was good elsewhere would keep it there."""

STATES: dict[Literal["complete", "pruned"], TrialState] = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
}


@dataclass(frozen=True)
class Past:
    """A trial of an earlier job on the same data, in this job's space.

    Attributes:
        of: its job.
        number: its number there.
        state: how it ended.
        parameters: as this job's space has them.
        value: of a complete one.
        values: of its epochs.
    """

    of: str
    number: int
    state: Literal["complete", "pruned"]
    parameters: Parameters
    value: float | None
    values: dict[str, float]

    def trial(self, space: Space) -> FrozenTrial:
        """Return it for a sampler's history."""
        return create_trial(
            state=STATES[self.state],
            value=self.value,
            params=self.parameters,
            distributions=space.distributions(self.parameters),
            intermediate_values={int(epoch): value for epoch, value in self.values.items()},
        )


@dataclass(frozen=True)
class Taken:
    """What a job starts from.

    Attributes:
        jobs: ids of the earlier jobs.
        history: trials that its sampler knows, and that are not trained again.
        first: what its first draws are fixed to.
    """

    jobs: tuple[str, ...] = ()
    history: tuple[Past, ...] = ()
    first: tuple[Parameters, ...] = ()

    def to_json(self) -> str:
        """Return it as the job's row keeps it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Taken":
        """Read what `to_json` wrote."""
        said = json.loads(text)
        history = tuple(Past(**one) for one in said["history"])
        return cls(tuple(said["jobs"]), history, tuple(said["first"]))

    def __str__(self) -> str:
        """Return it in words."""
        if not self.jobs:
            return "warm start: no earlier job has found anything on data alike"
        return (
            f"warm start from {', '.join(self.jobs)}: {counted(len(self.history), 'trial')} known, "
            f"{counted(len(self.first), 'configuration')} to begin with"
        )


def without_history(spec: JobSpec) -> Taken:
    """Return what a job starts from that knows no other: the portfolio, where its draws learn."""
    if spec.warm_start == "none" or not spec.sampler.learns:
        return Taken()
    return Taken(first=tuple(one for entry in entries() if (one := fitted(spec, entry))))


def with_earlier_jobs(store: Store, spec: JobSpec) -> JobSpec:
    """Return a document whose `warm_start` names jobs by their ids, each once.

    A name means the newest job of that name before this one, not whatever bears it later.

    Raises:
        SpecError: a job is not there.
    """
    if isinstance(spec.warm_start, str):
        return spec
    found, faults = [], []
    for key in spec.warm_start:
        try:
            found.append(find(store, key).id)
        except JobNotFoundError as error:
            faults.append(f"warm_start: {error}")
    if faults:
        raise SpecError(faults)
    return spec.model_copy(update={"warm_start": tuple(dict.fromkeys(found))})


def taken_over(row: JobRow, spec: JobSpec, dataset: dict[str, Any]) -> Taken | None:
    """Return what a job takes over from earlier ones, None where it was not asked to.

    That is decided once, whatever becomes of them, and stands in the job's row.

    Args:
        row: the job's, in the hands of its driver.
        spec: its document.
        dataset: what its data are.
    """
    if spec.warm_start in {"none", "portfolio"}:
        return None
    with row.lease.store.session() as session:
        known = session.get_one(Job, row.job_id).taken
    if known is not None:
        return Taken.from_json(known)
    taken = take(row.lease.store, spec, dataset, row.job_id)
    row.set(taken=taken.to_json())
    return taken


def take(store: Store, spec: JobSpec, dataset: dict[str, Any], job_id: str) -> Taken:
    """Return what a job takes over.

    Args:
        store: where the earlier jobs are.
        spec: the job's document.
        dataset: what its data are, as its row says.
        job_id: which job it is.

    Raises:
        JobNotFoundError: a job that the document names was deleted.
    """
    earlier = earlier_jobs(store, spec, dataset, job_id)
    if not earlier:
        return without_history(spec)
    past: list[list[Past]] = []
    ranked = []
    for job in earlier:
        theirs = JobSpec.from_json(job.document)
        trials, _ = both_studies(store, job.id)
        if spec.sampler.looks_back and comparable(job, theirs, spec, dataset):
            known = [one for trial in trials if (one := past_of(job.id, theirs, trial, spec))]
            past.append(known)
        ranked.append(best_of(job, theirs, trials))
    in_turn = (config for turn in zip_longest(*ranked) for config in turn if config is not None)
    first = unique(fitted(spec, config.model_dump()) for config in in_turn)
    history = shared(past, MOST_TRIALS, spec.objective.direction)
    if not first and not history:
        return without_history(spec)
    return Taken(jobs=tuple(job.id for job in earlier), history=tuple(history), first=first)


def shared(jobs: Sequence[Sequence[Past]], most: int, direction: Direction) -> list[Past]:
    """Return as many of some jobs' trials, of all alike; what one has not is the others'."""
    kept: dict[int, Sequence[Past]] = {}
    left = most
    for place in sorted(range(len(jobs)), key=lambda place: len(jobs[place])):
        kept[place] = best_and_newest(jobs[place], left // (len(jobs) - len(kept)), direction)
        left -= len(kept[place])
    return [one for place in range(len(jobs)) for one in kept[place]]


def best_and_newest(past: Sequence[Past], most: int, direction: Direction) -> Sequence[Past]:
    """Return as many of a job's trials: of those that are more than that a tenth is the best."""
    if len(past) <= most:
        return past
    sign = sign_of(direction)
    ranked = sorted((-sign * one.value, one.number) for one in past if one.value is not None)
    best = {number for _, number in ranked[: most // 10]}
    others = [one.number for one in past if one.number not in best]
    kept = best | set(others[len(others) - (most - len(best)) :])
    return [one for one in past if one.number in kept]


def unique(configurations: Iterator[Parameters]) -> tuple[Parameters, ...]:
    """Return the first different ones that are not empty."""
    found: list[Parameters] = []
    for one in configurations:
        if one and one not in found:
            found.append(one)
        if len(found) == MOST_FIRST:
            break
    return tuple(found)


def earlier_jobs(store: Store, spec: JobSpec, dataset: dict[str, Any], job_id: str) -> list[Job]:
    """Return the jobs that a document names, or the newest that have ended on data alike."""
    if not isinstance(spec.warm_start, str):
        return [find(store, key) for key in spec.warm_start]
    ended = select(Job).where(
        Job.id != job_id, Job.status.in_(("finished", "stopped")), Job.dataset.is_not(None)
    )
    with store.session() as session:
        newest = session.scalars(ended.order_by(Job.created_at.desc(), Job.id))
        alike = (
            job
            for job in newest
            if are_alike(job.data, dataset)
            and best_trial(session, job.id, maximize=True) is not None
        )
        return list(islice(alike, MOST_JOBS))


def are_alike(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether the same is learned from the same kind of sequences."""
    return all(one.get(key) == other.get(key) for key in ("features", "classes", "targets"))


def comparable(job: Job, theirs: JobSpec, ours: JobSpec, dataset: dict[str, Any]) -> bool:
    """Whether the values of another job's trials mean the same as this job's.

    What they cost to run is not known of them.
    """
    return (
        job.data.get("fingerprint") == dataset["fingerprint"]
        # Which is of the values as they are in the file.
        and (theirs.data.missing, theirs.data.mask) == (ours.data.missing, ours.data.mask)
        and theirs.objective.metric == ours.objective.metric
        and not ours.objective.counts_costs
    )


def past_of(job_id: str, theirs: JobSpec, trial: FrozenTrial, ours: JobSpec) -> Past | None:
    """Return an earlier trial in this job's space; None where it is no configuration of it.

    None, too, for one that was ended for something else than its values.
    """
    state = next((name for name, one in STATES.items() if one is trial.state), None)
    costs = trial.user_attrs.get("costs", {})
    over = theirs.objective.is_over(costs) and Verdict.DIVERGED not in trial.user_attrs
    if state == "pruned" and (over or Verdict.BUDGET in trial.user_attrs):
        return None
    config = theirs.config_of(trial)
    parameters = parameters_in(ours, config)
    if state is None or parameters is None:
        return None
    values = {str(epoch): value for epoch, value in trial.intermediate_values.items()}
    return Past(job_id, trial.number, state, parameters, trial.value, values)


def parameters_in(spec: JobSpec, config: TrialConfig) -> Parameters | None:
    """Return what of a space makes a configuration; None where nothing does."""
    space, wanted = Space.of(spec), config.model_dump()
    chosen: Parameters = {}
    for name in space.names:
        if space.is_active(name, chosen):
            parameter = space.parameters[name]
            chosen[name] = parameter.snap(wanted[name])
            if not parameter.holds(chosen[name]):
                return None
    return chosen if spec.config(chosen) == config else None


def best_of(job: Job, spec: JobSpec, trials: Sequence[FrozenTrial]) -> list[TrialConfig]:
    """Return a job's best configurations, that which was confirmed first."""
    result = job.found
    ranked = [
        spec.config_of(trial) for trial in by_value(trials, spec.objective.direction)[:MOST_FIRST]
    ]
    return [spec.config(result.chosen.parameters), *ranked] if result else ranked
