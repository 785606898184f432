"""A document → its sections, each checked by itself and then against the others."""

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from search.common.faults import Section, read, show, unknown
from search.document.baselines import check_baseline, read_baseline, read_settings
from search.document.conditions import Settings
from search.document.document import Document
from search.document.parameters import Choices, IntRange, Parameter, read_space
from search.document.pruners import PRUNERS, PrunerOptions
from search.document.samplers import SAMPLERS, SamplerOptions
from search.document.sections import (
    Budget,
    Confirm,
    Data,
    Identity,
    Objective,
    Workers,
    objective_fault,
    target_fault,
)
from search.document.space import Space, circle
from trainables.config import Parameters
from trainables.sources import SOURCES

DEFAULT_SPACE: Document = {
    "cell": ["lstm", "gru"],
    "hidden_size": {"low": 32, "high": 256, "step": 32},
    "layers": {"low": 1, "high": 3},
    "learning_rate": {"low": 1e-4, "high": 3e-2, "log": True},
    "dropout": {"low": 0.0, "high": 0.5, "when": {"layers": {"at_least": 2}}},
}
"""What is searched where a document has no `space`, but for what its `training` fixes."""

Sections = dict[str, Any]
"""The sections that are valid by themselves, by key."""


def default_space(training: object) -> Document:
    """Return the default space without what ``training`` fixes."""
    fixed = training if isinstance(training, dict) else {}
    space = {name: entry for name, entry in DEFAULT_SPACE.items() if name not in fixed}
    layers = fixed.get("layers", 2)
    if isinstance(layers, int) and layers < 2:
        space.pop("dropout", None)  # there is nothing between the layers of a single one
    return space


def read_sections(document: Document, faults: list[str]) -> Sections:
    """Return the sections that are valid; ``faults`` takes the others'. Null is as left out."""
    readers: dict[str, Callable[[Any, list[str]], object]] = {
        "data": read_data,
        "space": partial(read_searched, default=default_space(document.get("training"))),
        "baseline": lambda value, faults: read_baseline([] if value is None else value, faults),
        "objective": partial(read_objective, task=document.get("task")),
        "sampler": partial(read_named, "sampler", SAMPLERS),
        "pruner": partial(read_named, "pruner", PRUNERS),
        "training": lambda value, faults: read_settings(or_empty(value), "training", faults),
        "budget": section(Budget, "budget"),
        "workers": section(Workers, "workers"),
        "confirm": section(Confirm, "confirm"),
    }
    found: Sections = {}
    for key, reader in readers.items():
        before = len(faults)
        given = document.get(key)
        if key == "pruner" and given is None and (aim := found.get("objective")) and aim.beside:
            given = "none"  # which trial is worse, of several objectives, no epoch tells
        value = reader(given, faults)
        if len(faults) == before:
            found[key] = value
    own = ("name", "task", "seed", "warm_start")
    given = {key: document[key] for key in own if document.get(key) is not None}
    source = called(found["data"].source) if "data" in found else "unnamed"
    identity = read(Identity, {"name": source} | given, "", faults)
    return found | (identity.model_dump() if identity else {})


def called(source: str) -> str:
    """Return what a job is called that has no name."""
    plain = re.sub(r"[^a-z0-9_-]+", "-", Path(source).stem.lower()).strip("-")
    return plain[:64] or "unnamed"


def or_empty(value: Any) -> Any:
    """Return an empty mapping for a section that is left out."""
    return {} if value is None else value


def section(model: type[Section], key: str) -> Callable[[Any, list[str]], object]:
    """Return the reader of a section that is one flat mapping."""
    return lambda value, faults: read(model, or_empty(value), key, faults)


def read_data(value: object, faults: list[str]) -> Data | None:
    """Return the section `data`, the only one that must be there."""
    if value is None:
        faults.append("data: is required, such as {source: mnist-5k}")
        return None
    return read(Data, value, "data", faults)


def read_objective(value: object, faults: list[str], *, task: object) -> Section | None:
    """Return the objective, whose metric follows from the task where it is left out."""
    document = or_empty(value)
    if task == "regression" and isinstance(document, dict) and document.get("metric") is None:
        document = {**document, "metric": "val_mse"}
    return read(Objective, document, "objective", faults)


def read_searched(
    value: object, faults: list[str], *, default: Document
) -> Mapping[str, Parameter]:
    """Return the space, whose conditions go in no circle."""
    space = read_space(default if value is None else value, faults)
    if names := circle(space):
        faults.append(f"space: conditions must not go in a circle, but got {' -> '.join(names)}")
    return space


def read_named(
    key: str, models: Mapping[str, type[Section]], value: Any, faults: list[str]
) -> Section | None:
    """Return the options of a sampler or pruner: a name, or a mapping with the key `name`.

    A mapping without a name is one of options for the first of ``models``, the default.
    """
    document = {"name": value} if isinstance(value, str) else or_empty(value)
    if not isinstance(document, dict):
        faults.append(
            f"{key}: must be a name or a mapping with the key name, but got {show(value)}"
        )
        return None
    name = document.get("name", next(iter(models)))
    if name not in models if isinstance(name, str) else True:
        where = f"{key}.{name}" if isinstance(name, str) else key
        faults.append(unknown(where, key, models))
        return None
    return read(models[name], {**document, "name": name}, key, faults, kind=f"option of {name}")


def check_sections(found: Sections, faults: list[str]) -> None:
    """Add to ``faults`` the rules between sections; one that lacks a section is passed over."""
    for needs, rule in (
        (("objective", "budget"), check_target),
        (("objective", "task", "data"), check_task),
        (("baseline", "budget"), check_trials),
        (("space", "training"), check_space),
        (("sampler", "space", "training", "budget"), check_sampler),
        (("pruner", "space", "training", "budget"), check_pruner),
        (("objective", "sampler", "pruner", "budget"), check_several),
        (("sampler", "warm_start"), check_warm_start),
        (("baseline", "space", "training"), check_entries),
    ):
        if all(need in found for need in needs):
            rule(found, faults)


def check_target(found: Sections, faults: list[str]) -> None:
    """Refuse a target that cannot be reached."""
    if fault := target_fault(found["objective"], found["budget"]):
        faults.append(fault)


def check_task(found: Sections, faults: list[str]) -> None:
    """Refuse an objective of another task, and numbers where there are only classes."""
    if fault := objective_fault(found["objective"], found["task"]):
        faults.append(fault)
    if found["task"] == "regression" and found["data"].source in SOURCES:
        faults.append(f"task: must be classification for {found['data'].source}")
    if found["task"] == "regression":
        given = {"training": found.get("training", {}), "space": found.get("space", {})}
        given |= {f"baseline.{place}": one for place, one in enumerate(found.get("baseline", ()))}
        faults += [
            f"{where}.{name}: must not be given for regression"
            for where, settings in given.items()
            for name in ("class_weights", "label_smoothing")
            if name in settings
        ]


def check_several(found: Sections, faults: list[str]) -> None:
    """Refuse what cannot weigh several objectives against each other."""
    if not found["objective"].beside:
        return
    if not found["sampler"].several:
        names = ", ".join(name for name, one in SAMPLERS.items() if one.several)
        got = found["sampler"].name
        faults.append(f"sampler: must be one of {names} with objective.beside, but got {got}")
    if found["pruner"].name != "none":
        got = found["pruner"].name
        faults.append(f"pruner: must be none with objective.beside, but got {got}")
    if found["budget"].target is not None:
        faults.append("budget.target: must not be given with objective.beside")


def check_warm_start(found: Sections, faults: list[str]) -> None:
    """Refuse to hand what earlier jobs know to a sampler that does not learn."""
    if found["warm_start"] not in {"none", "portfolio"} and not found["sampler"].learns:
        got = found["sampler"].name
        faults.append(f"warm_start: needs a sampler that learns, but got {got}")


def check_trials(found: Sections, faults: list[str]) -> None:
    """Refuse a budget that the baseline alone exceeds."""
    trials, entries = found["budget"].trials, len(found["baseline"])
    if trials < entries:
        faults.append(f"budget.trials: must be at least the {entries} baselines, but got {trials}")


def space_of(found: Sections) -> Space:
    """Return the space of valid sections."""
    return Space(found["space"], Settings(**found["training"]).model_dump())


def check_space(found: Sections, faults: list[str]) -> None:
    """Refuse what is both fixed and searched, what is never active, and what does nothing."""
    space = space_of(found)
    for name in found["training"]:
        if name in space.parameters and not space.parameters[name].when:
            got = show(found["training"][name])
            faults.append(f"training.{name}: must not be fixed where space has it, but got {got}")
    if most("layers", space.parameters, found["training"]) == 1:
        searched = "dropout" in space.parameters and not space.parameters["dropout"].when
        fixed = found["training"].get("dropout")
        for where, is_asked in (("space", searched), ("training", fixed)):
            if is_asked:
                faults.append(f"{where}.dropout: is between layers, of which there is only one")
    dead: set[str] = set()
    for name in space.names:
        reasons = [] if dead & space.demands(name).keys() else [*space.impossible(name)]
        if reasons:
            dead.add(name)
        for other, why in reasons:
            own = other in space.parameters[name].when
            where = f"space.{name}.when" + (f".{other}" if own else "")
            faults.append(f"{where}: can never hold: {why}")


def check_sampler(found: Sections, faults: list[str]) -> None:
    """Refuse a sampler that makes no sense for the space."""
    sampler: SamplerOptions = found["sampler"]
    reasons = sampler.refusals(space_of(found), found["budget"].trials)
    faults += [f"sampler: {reason}" for reason in reasons]


def check_pruner(found: Sections, faults: list[str]) -> None:
    """Refuse a pruner that makes no sense for the length and number of trials."""
    pruner: PrunerOptions = found["pruner"]
    epochs = most_epochs(found["space"], found["training"])
    reasons = pruner.refusals(epochs, found["budget"].trials)
    faults += [f"pruner: {reason}" for reason in reasons]


def check_entries(found: Sections, faults: list[str]) -> None:
    """Refuse baselines outside the space."""
    check_baseline(found["baseline"], space_of(found), found["training"], faults)


def most_epochs(space: Mapping[str, Parameter], training: Parameters) -> int:
    """Return the most epochs that a trial of the search may have."""
    return most("epochs", space, training)


def most(name: str, space: Mapping[str, Parameter], training: Parameters) -> int:
    """Return the most that a trial of the search may have of what is counted."""
    fixed: int = getattr(Settings.model_validate(training), name)
    searched = space.get(name)
    if isinstance(searched, IntRange):
        return max(searched.high, fixed) if searched.when else searched.high
    if isinstance(searched, Choices):
        fixed = max([*searched.choices, *([fixed] if searched.when else [])])
    return fixed
