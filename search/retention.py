"""Which of a job's files are needed: those of running trials, of the top trials, the champion."""

import shutil
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from optuna.trial import FrozenTrial, TrialState

from search.champion import by_value
from search.spec import JobSpec
from trainables.checkpoint import Checkpoints


def top(trials: Sequence[FrozenTrial], spec: JobSpec) -> set[int]:
    """Return the complete trials of a search whose weights are kept: the best, and baselines."""
    ranked = by_value(trials, spec.objective.direction)
    found = [t.number for t in ranked if "baseline" not in t.user_attrs]
    return {t.number for t in ranked} - set(found[max(1, spec.confirm.top) :])


def complete(trials: Sequence[FrozenTrial]) -> set[int]:
    """Return the complete trials; of replicates all weights are kept until the choice."""
    return {t.number for t in trials if t.state is TrialState.COMPLETE}


def unreferenced(
    folder: Path, trials: Sequence[FrozenTrial], weights: Container[int]
) -> Iterator[Path]:
    """Yield the files and folders of a study that nothing needs any more.

    Args:
        folder: the study's checkpoints.
        trials: the study's trials; those that have not ended keep all they have.
        weights: the ended trials whose best weights are kept.
    """
    for trial in trials:
        path = folder / f"{trial.number:06d}"
        if not trial.state.is_finished() or not path.exists():
            continue
        if trial.number in weights:
            yield from leftovers(Checkpoints(path))
        else:
            yield path


def leftovers(checkpoints: Checkpoints) -> Iterator[Path]:
    """Yield what a complete trial needs no more: its epochs, once its best weights are there."""
    yield from checkpoints.folder.glob(".*.tmp")
    if checkpoints.best.exists():
        yield from (checkpoints.path(epoch) for epoch in checkpoints.epochs())


def unreferenced_of_job(
    folder: Path,
    spec: JobSpec,
    searched: Sequence[FrozenTrial],
    confirmed: Sequence[FrozenTrial],
    *,
    chosen: bool,
) -> list[Path]:
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
        *unreferenced(folder / "search", searched, top(searched, spec)),
        *unreferenced(folder / "confirm", confirmed, replicates),
        *folder.glob(".*.tmp"),
    ]


def delete(paths: Iterable[Path]) -> None:
    """Delete files and folders, and the folders of studies that are empty then."""
    for path in list(paths):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
        with suppress(OSError):  # it still holds something, or is gone
            path.parent.rmdir()
