"""The baseline of a job: what is tried first, and what the winner has to beat."""

from collections.abc import Sequence

from search.common.faults import read, show
from search.document.conditions import Settings
from search.document.space import Space
from trainables.config import Parameters


def read_baseline(document: object, faults: list[str]) -> list[Parameters]:
    """Return the entries, each with the settings that it gives; ``faults`` takes what is wrong."""
    if not isinstance(document, list):
        faults.append(f"baseline: must be a list of mappings, but got {show(document)}")
        return []
    return [read_settings(entry, f"baseline.{i}", faults) for i, entry in enumerate(document)]


def read_settings(document: object, where: str, faults: list[str]) -> Parameters:
    """Return the settings that a mapping gives, every value valid for its setting."""
    settings = read(Settings, document, where, faults, kind="setting")
    return settings.model_dump(include=settings.model_fields_set) if settings else {}


def check_baseline(
    entries: Sequence[Parameters], space: Space, training: Parameters, faults: list[str]
) -> None:
    """Add to ``faults`` why entries lie outside the space, and which are there twice."""
    seen: dict[str, int] = {}
    for place, entry in enumerate(entries):
        where = f"baseline.{place}"
        split(entry, space, training, where, faults)
        first = seen.setdefault(Settings.model_validate(training | entry).model_dump_json(), place)
        if first != place:
            faults.append(f"{where}: entries must differ, but got baseline.{first} again")


def split(
    entry: Parameters, space: Space, training: Parameters, where: str, faults: list[str]
) -> tuple[Parameters, Parameters]:
    """Return an entry as the space's active parameters and the settings that it overrides.

    A parameter that the entry leaves out has the value that training gives it, or the default.
    """
    settings: Parameters = Settings.model_validate(training | entry).model_dump()
    own = Space(space.parameters, settings)
    chosen: Parameters = {}
    for name in own.names:
        parameter = own.parameters[name]
        if not own.is_active(name, chosen):
            if name in entry:
                when = " and ".join(f"{other} is {c}" for other, c in parameter.when.items())
                got = show(entry[name])
                faults.append(f"{where}.{name}: counts only when {when}, but got {got}")
            continue
        chosen[name] = value = parameter.snap(settings[name])
        if not parameter.holds(value):
            source = "" if name in entry else ", which it has where the entry leaves it out"
            faults.append(f"{where}.{name}: must be {parameter}, but got {show(value)}{source}")
    return chosen, {name: value for name, value in entry.items() if name not in space.parameters}
