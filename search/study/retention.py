"""Which of a job's files are needed: those of running trials, of the top trials, the champion."""

from collections.abc import Container, Iterable, Iterator, Sequence

from optuna.trial import FrozenTrial, TrialState

from search.document.spec import JobSpec
from search.study.champion import baselines, found
from trainables.checkpoint import Checkpoints, epoch_file, trial_folder
from trainables.folder import Folder, Item


def top(trials: Sequence[FrozenTrial], spec: JobSpec) -> set[int]:
    """Return the complete trials of a search whose weights are kept: the best, and baselines."""
    best = found(trials, spec)[: max(1, spec.confirm.top)]
    return {trial.number for trial in (*best, *baselines(trials, spec))}


def needed(trials: Sequence[FrozenTrial], spec: JobSpec, *, chosen: bool) -> set[int]:
    """Return the complete trials of a search whose weights are or may come to be among the top.

    Of several objectives that may be any until the choice: a later trial that is better than some
    of the front in everything lets others in.
    """
    return complete(trials) if spec.objective.beside and not chosen else top(trials, spec)


def complete(trials: Sequence[FrozenTrial]) -> set[int]:
    """Return the complete trials; of replicates all weights are kept until the choice."""
    return {t.number for t in trials if t.state is TrialState.COMPLETE}


def unreferenced(
    folder: Folder, trials: Sequence[FrozenTrial], weights: Container[int]
) -> Iterator[Item]:
    """Yield the files and folders of a study that nothing needs any more.

    Args:
        folder: the study's checkpoints.
        trials: the study's trials; those that have not ended keep all they have.
        weights: the ended trials whose best weights are kept.
    """
    names = set(folder.names())
    for trial in trials:
        name = trial_folder(trial.number)
        if not trial.state.is_finished() or name not in names:
            continue
        if trial.number in weights:
            yield from leftovers(Checkpoints(folder.child(name)))
        else:
            yield Item(folder, name)


def leftovers(checkpoints: Checkpoints) -> Iterator[Item]:
    """Yield what a complete trial needs no more: its epochs, once its best weights are there."""
    yield from checkpoints.folder.interrupted()
    if checkpoints.has_best():
        yield from (Item(checkpoints.folder, epoch_file(epoch)) for epoch in checkpoints.epochs())


def unreferenced_of_job(
    folder: Folder,
    spec: JobSpec,
    searched: Sequence[FrozenTrial],
    confirmed: Sequence[FrozenTrial],
    *,
    chosen: bool,
) -> list[Item]:
    """Return the files and folders of a job that nothing needs any more.

    Args:
        folder: the job's.
        spec: its document.
        searched: the trials of its search.
        confirmed: the trials of its confirmation.
        chosen: whether the champion is chosen and saved.
    """
    replicates = set() if chosen else complete(confirmed)
    return [
        *unreferenced(folder.child("search"), searched, needed(searched, spec, chosen=chosen)),
        *unreferenced(folder.child("confirm"), confirmed, replicates),
    ]


def delete(items: Iterable[Item]) -> None:
    """Delete files and folders."""
    for folder, name in list(items):
        folder.delete(name)
