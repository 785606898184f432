"""Trials as Optuna's tables have them, for those who only look: Optuna takes long to import."""

import json
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    String,
    TableClause,
    cast,
    column,
    inspect,
    select,
    table,
)
from sqlalchemy.orm import Session

from search.common.trial import state_named

STUDIES = table("studies", column("study_id"), column("study_name"))
TRIALS = table("trials", column("trial_id"), column("study_id"), column("state"), column("number"))
VALUES = table("trial_values", column("trial_id"), column("value"), column("value_type"))
PARAMS = table(
    "trial_params",
    *map(column, ("trial_id", "param_id", "param_name", "param_value", "distribution_json")),
)
ATTRS = table("trial_user_attributes", column("trial_id"), column("key"), column("value_json"))
EPOCHS = table(
    "trial_intermediate_values",
    *map(column, ("trial_id", "step", "intermediate_value", "intermediate_value_type")),
)

UNUSUAL = {"NAN": math.nan, "INF_POS": math.inf, "INF_NEG": -math.inf}
"""Values that are no finite number, by the word that stands beside them."""


@dataclass(frozen=True)
class Recorded:
    """A trial of a study, its content named as in Optuna's `FrozenTrial`."""

    number: int
    value: float | None
    params: dict[str, Any]
    user_attrs: dict[str, Any]
    epochs: tuple[float, ...]
    """The objective of each epoch, in their order."""
    state: str
    """As people see it; see `search.common.trial.state_of`."""


def has_studies(session: Session) -> bool:
    """Whether Optuna has made its tables yet.

    It makes one after the other, and that of the epochs last of those that are read here.
    """
    return inspect(session.connection()).has_table(EPOCHS.name)


def study_id(session: Session, study: str) -> int | None:
    """Return the number that Optuna gave a study; None where there is none."""
    if not has_studies(session):
        return None
    found: int | None = session.scalar(
        select(STUDIES.c.study_id).where(STUDIES.c.study_name == study)
    )
    return found


def trials_of(session: Session, study: str) -> list[Recorded]:
    """Return the trials of a study by number; none where there is no such study."""
    return read(session, STUDIES.c.study_name == study) if has_studies(session) else []


def trial_of(session: Session, trial_id: int) -> Recorded:
    """Return the trial to which Optuna gave this id."""
    (found,) = read(session, TRIALS.c.trial_id == trial_id)
    return found


def values_of(session: Session, studies: Sequence[str]) -> dict[str, list[float]]:
    """Return the values of the complete trials of studies by number, in a statement for all."""
    if not studies or not has_studies(session):
        return {}
    values = select(STUDIES.c.study_name, VALUES.c.value, VALUES.c.value_type)
    found: dict[str, list[float]] = defaultdict(list)
    for study, *value in session.execute(complete(values, studies).order_by(TRIALS.c.number)):
        found[study].append(as_float(*value))
    return found


def complete(wanted: Select[Any], studies: Sequence[str]) -> Select[Any]:
    """Return what is wanted of the complete trials of studies."""
    return (
        wanted.join_from(STUDIES, TRIALS, TRIALS.c.study_id == STUDIES.c.study_id)
        .join(VALUES, VALUES.c.trial_id == TRIALS.c.trial_id)
        .where(STUDIES.c.study_name.in_(studies), cast(TRIALS.c.state, String) == "COMPLETE")
    )


def read(session: Session, chosen: ColumnElement[bool]) -> list[Recorded]:
    """Return the chosen trials by number, in a statement a table however many they are."""

    def rows(of: TableClause, *columns: str) -> dict[int, list[Any]]:
        wanted = select(of.c.trial_id, *(of.c[name] for name in columns))
        wanted = wanted.join(TRIALS, TRIALS.c.trial_id == of.c.trial_id)
        found: dict[int, list[Any]] = defaultdict(list)
        for trial_id, *row in session.execute(among(wanted, chosen)):
            found[trial_id].append(row)
        return found

    # The trials come first: what is written meanwhile is more of one, or of one that is not shown.
    trials = select(TRIALS.c.trial_id, TRIALS.c.number, cast(TRIALS.c.state, String))
    trials = among(trials, chosen).order_by(TRIALS.c.number)
    heads = session.execute(trials).all()
    values = rows(VALUES, "value", "value_type")
    params = rows(PARAMS, "param_id", "param_name", "param_value", "distribution_json")
    attrs = rows(ATTRS, "key", "value_json")
    epochs = rows(EPOCHS, "step", "intermediate_value", "intermediate_value_type")
    found = []
    for trial_id, number, state in heads:
        own = {key: json.loads(value) for key, value in attrs[trial_id]}
        found.append(
            Recorded(
                number=number,
                value=next((as_float(*row) for row in values[trial_id]), None),
                params={name: as_given(*row) for _, name, *row in sorted(params[trial_id])},
                user_attrs=own,
                epochs=tuple(as_float(*row) for _, *row in sorted(epochs[trial_id])),
                state=state_named(state, own),
            )
        )
    return found


def among(wanted: Select[Any], chosen: ColumnElement[bool]) -> Select[Any]:
    """Return what is wanted of the chosen trials alone."""
    return wanted.join(STUDIES, STUDIES.c.study_id == TRIALS.c.study_id).where(chosen)


def as_float(value: Any, kind: str) -> float:
    """Return a value, which Optuna leaves out where it is no finite number."""
    return UNUSUAL[kind] if kind in UNUSUAL else float(value)


def as_given(value: float, distribution: str) -> Any:
    """Return a parameter's value, which Optuna keeps as a number beside its distribution."""
    kind, choices = kind_of(distribution)
    if choices is not None:
        return choices[int(value)]
    return int(value) if kind == "IntDistribution" else value


@lru_cache(maxsize=1024)
def kind_of(distribution: str) -> tuple[str, tuple[Any, ...] | None]:
    """Return the name of a distribution, and its choices where it has any."""
    read = json.loads(distribution)
    choices = read["attributes"].get("choices")
    return read["name"], None if choices is None else tuple(choices)
