"""The study against what the job's document and status say: which trials, and how they ended."""

from collections.abc import Iterator

from optuna.trial import FrozenTrial

from search.common.labels import counted
from search.common.trial import Proposal, parameters_of, state_of
from search.database.tables import confirmation
from search.study.champion import replicates
from search.upkeep.doctor.finding import Finding
from search.upkeep.doctor.record import UNREADABLE, Record, brief
from search.upkeep.doctor.steps import Requeue


def examine_study(record: Record) -> Iterator[Finding]:
    """Yield what is wrong with the trials of search and confirmation."""
    yield from examine_numbers(record)
    for name, trials in record.studies.items():
        for trial in trials:
            yield from examine_state(record, name, trial)
    yield from examine_replicates(record)


def examine_numbers(record: Record) -> Iterator[Finding]:
    """The numbers are 0 to n-1; a finished job has as many as it was to have, and no more."""
    for name, trials in record.studies.items():
        numbers = {trial.number for trial in trials}
        wanted = wanted_trials(record, name)
        closed = name == record.job.id and record.job.closed is not None
        least = wanted if wanted is not None and record.is_finished and not closed else 0
        for number in sorted(set(range(max([least, *(n + 1 for n in numbers)]))) - numbers):
            yield Finding(
                "trial-missing",
                record.subject((name, number)),
                f"the study has {counted(len(numbers), 'trial')}"
                + (f" of {least}" if least else "")
                + f", and none with the number {number}; a lost trial cannot be made again",
            )
        for number in sorted(n for n in numbers if wanted is not None and n >= wanted):
            yield Finding(
                "trial-beyond-budget",
                record.subject((name, number)),
                f"the study has a trial {number}, but {wanted} trials were to run",
            )


def wanted_trials(record: Record, name: str) -> int | None:
    """Return how many trials a study is to have, None while that is open."""
    if name == record.job.id:
        return record.spec.budget.trials
    proposals = proposed(record)
    return None if proposals is None else len(proposals)


def proposed(record: Record) -> list[Proposal] | None:
    """Return the trials of the confirmation, None while the search goes on or cannot be read."""
    if not record.is_finished:
        return None
    if not record.spec.confirm.top:
        return []
    try:
        return replicates(record.searched, record.spec)
    except (*UNREADABLE, RuntimeError):
        return None


def examine_state(record: Record, name: str, trial: FrozenTrial) -> Iterator[Finding]:
    """No trial runs while no driver lives, and a finished job has none that has not ended."""
    subject, state = record.subject((name, trial.number)), state_of(trial)
    if state == "running":
        yield Finding(
            "trial-running",
            subject,
            "the study says that it is running, but no driver of the job lives",
            Requeue(name),
        )
    elif state == "waiting" and record.is_finished:
        yield Finding(
            "trial-unended", subject, "the job is finished, but the study has the trial waiting"
        )
    try:
        record.spec.config_of(trial)
        int(trial.user_attrs["seed"])
    except UNREADABLE as error:
        yield Finding(
            "trial-damaged",
            subject,
            f"the study's parameters {parameters(trial)} are none of the document: {brief(error)}",
        )


def parameters(trial: FrozenTrial) -> str:
    """Return a trial's parameters and seed for a message."""
    return f"{trial.params | {'seed': trial.user_attrs.get('seed')}}"


def examine_replicates(record: Record) -> Iterator[Finding]:
    """The trials of the confirmation are those that follow from the search."""
    for number, proposal in enumerate(proposed(record) or []):
        key = (confirmation(record.job.id), number)
        trial = record.trials.get(key)
        if trial is None:
            continue
        try:
            of, seed = trial.user_attrs.get("of"), trial.user_attrs.get("seed")
            wanted = (proposal.attrs["of"], proposal.seed)
            same = parameters_of(trial) == {**proposal.parameters, **proposal.overrides}
        except UNREADABLE:
            continue  # said elsewhere
        if (of, seed) != wanted or not same:
            yield Finding(
                "replicate-differs",
                record.subject(key),
                f"it is of trial {of} with seed {seed} and {parameters_of(trial)}, but the search "
                f"makes it one of trial {wanted[0]} with seed {wanted[1]} and "
                f"{ {**proposal.parameters, **proposal.overrides} }",
            )
