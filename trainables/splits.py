"""Which sequences are held out: stratified by class, whole groups, or the latest."""

import warnings
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from trainables.faults import DatasetError

Rows = NDArray[np.int64]

FOLDS = 20
"""Into how many like folds groups are divided at most, of which some are held out."""


def stratified(y: NDArray[np.int64], fraction: float, seed: int, name: str) -> tuple[Rows, Rows]:
    """Hold ``fraction`` of the sequences out, of each class alike.

    Args:
        y: [sequences] classes; each must end in both halves.
        fraction: share that is held out.
        seed: fixes which sequences are held out.
        name: what the held-out half is called in errors.

    Returns:
        Which stay, and which are held out, each in the order of the whole.

    Raises:
        DatasetError: the fraction leaves a class out of one of the two.
    """
    from sklearn.model_selection import train_test_split  # takes seconds to import

    check_fraction(fraction, name)
    found, counts = np.unique(y, return_counts=True)
    total = len(y)
    out = int(np.ceil(fraction * total))
    rule = (
        f"each of the {len(found)} classes needs a sequence in the {name} part and one outside it, "
        f"but {name}={fraction} of {total} sequences"
    )
    if min(out, total - out) < len(found):
        raise DatasetError(f"{rule} would hold out {out} and leave {total - out}")
    if counts.min() < 2:
        raise DatasetError(f"{rule} must be split, and the smallest class has {counts.min()}")
    stays, held = train_test_split(
        np.arange(total), test_size=out, random_state=seed % 2**32, stratify=y
    )
    halves = np.sort(stays), np.sort(held)
    if any(len(np.unique(y[half])) < len(found) for half in halves):
        raise DatasetError(f"{rule} leaves a class out; the smallest has {counts.min()} sequences")
    return halves


def at_random(count: int, fraction: float, seed: int, name: str) -> tuple[Rows, Rows]:
    """Hold ``fraction`` of ``count`` sequences out, where there are no classes; see `stratified`.

    Raises:
        DatasetError: nothing would be held out, or nothing left.
    """
    check_fraction(fraction, name)
    out = int(np.ceil(fraction * count))
    if out >= count:
        raise DatasetError(f"{name}={fraction} of {count} sequences would leave none")
    order = np.random.default_rng(seed % 2**32).permutation(count)
    return np.sort(order[out:]), np.sort(order[:out])


def by_group(
    groups: NDArray[np.generic], y: NDArray[np.int64] | None, fraction: float, seed: int, name: str
) -> tuple[Rows, Rows]:
    """Hold whole groups out, about ``fraction`` of the sequences; see `stratified`.

    Args:
        groups: [sequences], the same for those that must stay together.
        y: [sequences] classes, whose shares are kept as far as groups allow; None for none.
        fraction: share that is held out, as near as so many groups allow.
        seed: fixes which groups are held out.
        name: what the held-out half is called in errors.

    Raises:
        DatasetError: there are too few groups, or a class would be left out of one of the two.
    """
    from sklearn.model_selection import StratifiedGroupKFold  # takes seconds to import

    check_fraction(fraction, name)
    strata = np.zeros(len(groups), np.int64) if y is None else y
    count = len(np.unique(groups))
    share = Fraction(fraction).limit_denominator(min(count, int(np.bincount(strata).max()), FOLDS))
    if share in (0, 1):
        raise DatasetError(
            f"data.group: must have enough groups for {name}={fraction}, but has {count}"
        )
    splitter = StratifiedGroupKFold(share.denominator, shuffle=True, random_state=seed % 2**32)
    with warnings.catch_warnings():  # of a rare class, which is no fault if both halves have it
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        folds = [held for _, held in splitter.split(groups, strata, groups)]
    held = np.sort(np.concatenate([folds[at] for at in nearest(folds, strata, fraction, share)]))
    stays = np.setdiff1d(np.arange(len(groups)), held, assume_unique=True)
    check_classes(y, (stays, held), f"data.group: the {name} part of {len(held)} sequences")
    return stays, held


def nearest(folds: list[Rows], strata: Rows, fraction: float, share: Fraction) -> list[int]:
    """Return which folds are held out, some beside each other.

    With every class on both sides, if that can be, since a rare one may be in few groups; of
    those, what comes nearest to the share: groups of unequal size make unequal folds.

    Args:
        folds: the sequences of each.
        strata: [sequences] classes.
        fraction: share of the sequences that is held out.
        share: of the folds, if they were equal.
    """
    classes = np.unique(strata, return_inverse=True)[1]
    has = np.zeros((len(folds), classes.max() + 1), bool)
    for fold, rows in zip(has, folds, strict=True):
        fold[classes[rows]] = True
    sizes = np.array([len(rows) for rows in folds])

    def rank(held: list[int]) -> tuple[bool, float, bool]:
        rest = [at for at in range(len(folds)) if at not in held]
        lacks = (has[held].any(0) != has[rest].any(0)).any()
        off = abs(sizes[held].sum() - fraction * len(strata))
        return bool(lacks), float(off), len(held) != share.numerator

    windows = (
        [at % len(folds) for at in range(first, first + count)]
        for count in range(1, len(folds))
        for first in range(len(folds))
    )
    return min(windows, key=rank)


def by_time(
    times: NDArray[np.generic], y: NDArray[np.int64] | None, fraction: float, name: str
) -> tuple[Rows, Rows]:
    """Hold the latest sequences out, about ``fraction`` of them; see `stratified`.

    Sequences of the same time stay together.

    Raises:
        DatasetError: nothing would be left, or a class left out of one of the two.
    """
    check_fraction(fraction, name)
    order = np.argsort(times, kind="stable")
    out = int(np.ceil(fraction * len(times)))
    first = times[order[len(times) - out]]
    held = times >= first
    if held.all():
        raise DatasetError(
            f"data.time: the {name} part of {out} sequences would hold all of them, since they are "
            f"of the same time, {first}"
        )
    halves = np.flatnonzero(~held), np.flatnonzero(held)
    check_classes(y, halves, f"data.time: the {name} part of {int(held.sum())} sequences")
    return halves


def check_fraction(fraction: float, name: str) -> None:
    """Refuse a share that is none."""
    if not 0 < fraction < 1:
        raise DatasetError(f"0 < {name} < 1 must hold, but got {name}={fraction}")


def check_classes(y: NDArray[np.int64] | None, halves: Sequence[Rows], what: str) -> None:
    """Refuse a split after which a class is in one half only."""
    if y is not None and (count := classes_in_one(y, halves)):
        raise DatasetError(
            f"{what} and the rest must have every class, but {count} are in one only"
        )


def classes_in_one(y: NDArray[np.int64], halves: Sequence[Rows]) -> int:
    """Return how many classes are in one of two halves only."""
    first, second = (set(np.unique(y[half]).tolist()) for half in halves)
    return len(first ^ second)
