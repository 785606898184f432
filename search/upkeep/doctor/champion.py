"""The champion: the one that the study says, and its folder whole."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from search.common.home import Home
from search.database.result import Candidate
from search.document.spec import JobSpec
from search.study.champion import choose
from search.upkeep.doctor.finding import Finding
from search.upkeep.doctor.record import UNREADABLE, Record, brief, read_object
from search.upkeep.doctor.steps import RestoreChampion, Step
from search.winner.fetching import NEEDED, SUMS, champion_folder, check_sums, offered, sums_of
from trainables.folder import DamagedError, Folder, FolderError, Item

SUBJECT = "champion"


def examine_champion(home: Home, record: Record, *, copied: bool) -> Iterator[Finding]:
    """Yield where result, study and the champion's files differ.

    Args:
        home: the installation.
        record: the job.
        copied: whether the parent run in MLflow has the champion's files.
    """
    if record.job.result is not None and record.result is None:
        yield Finding("result-damaged", SUBJECT, "the result in the job's row cannot be read")
        return
    if record.result is None:
        if record.is_finished:
            yield Finding("result-missing", SUBJECT, "the job is finished, but has no result")
        return
    yield from examine_choice(record)
    yield from examine_folder(
        champion_folder(home, record.job.id), record, RestoreChampion() if copied else None
    )


def examine_choice(record: Record) -> Iterator[Finding]:
    """The study leads to the same choice again."""
    result = record.result
    if not all(trial.state.is_finished() for trial in record.trials.values()):
        return  # said elsewhere, and the choice is open until they have ended
    try:
        again = choose(record.spec, record.job.id, record.searched, record.confirmed)
    except (*UNREADABLE, RuntimeError) as error:
        yield Finding(
            "champion-unknown", SUBJECT, f"the study does not lead to a choice: {brief(error)}"
        )
        return
    found = None if again is None else again.chosen
    if again is not None and result is not None and again.chosen.of in result.level:
        # Of those that it cannot be told from, another may be chosen.
        told = {one.of: one for one in again.candidates if one.of in result.level}
        found = told.get(result.chosen.of, found)
    if result is not None and choice(found) != choice(result.chosen):
        yield Finding(
            "champion-differs",
            SUBJECT,
            f"the job's result is {words(result.chosen)}, but the study says {words(found)}; "
            "weights of others are not kept",
        )


def is_study_s(record: Record) -> bool:
    """Whether the result is the one to which the study leads."""
    return not list(examine_choice(record))


def choice(one: Candidate | None) -> tuple[Any, ...] | None:
    """Return what makes a candidate the same; test results are none of the study's."""
    return None if one is None else (one.of, one.runs, one.validation, one.parameters)


def words(one: Candidate | None) -> str:
    """Return a candidate for a message."""
    if one is None:
        return "none"
    return f"trial {one.of} (runs {list(one.runs)}, validation {list(one.validation)})"


def examine_folder(folder: Folder, record: Record, step: Step | None) -> Iterator[Finding]:
    """Every file of the champion is there, is what was written, and is the result's."""
    names = offered(folder)
    if not names and folder.exists(SUMS):
        yield damaged(Item(folder, SUMS), "it does not say what belongs to the model", step)
        return
    missing = [name for name in names or sorted(NEEDED) if not folder.exists(name)]
    if missing:
        yield Finding("champion-incomplete", SUBJECT, f"{folder} lacks {', '.join(missing)}", step)
    sums = sums_of(folder.read(SUMS)) if names else {}
    for name in sums:
        if name not in missing and (fault := fault_of(Item(folder, name), sums, record)):
            yield damaged(Item(folder, name), fault, step)


def damaged(file: Item, fault: str, step: Step | None) -> Finding:
    """Return the finding about one of the champion's files."""
    return Finding("champion-damaged", f"{SUBJECT}'s {file.name}", f"{file}: {fault}", step)


def fault_of(file: Item, sums: Mapping[str, str], record: Record) -> str | None:
    """Return what is wrong with one of the champion's files."""
    try:
        content = file.folder.read(file.name)
        check_sums({file.name: content}, sums)
        return fault_of_json(file, content, record) if file.name.endswith(".json") else None
    except FolderError:
        raise
    except (OSError, DamagedError, *UNREADABLE) as error:
        return brief(error)


def fault_of_json(file: Item, content: bytes, record: Record) -> str | None:
    """Return what is wrong with the champion's configuration or metrics."""
    said = read_object(content.decode())
    wanted = (configuration if file.name == "config.json" else metrics)(record)
    if said is None:
        return "it is no JSON object"
    for name, value in wanted.items():
        found = said.get(name)
        if found != value:
            return f"it has {name} {found}, but the job's result {value}"
    return None


def configuration(record: Record) -> dict[str, Any]:
    """Return what the champion's config.json says of the result and the data."""
    spec: JobSpec = record.spec
    chosen = record.result.chosen.parameters if record.result else {}
    data = read_object(record.job.dataset) or {}
    return {
        "trial": spec.config(chosen).model_dump(),
        "job": record.job.id,
        "data": {name: data.get(name) for name in ("name", "fingerprint")},
    }


def metrics(record: Record) -> dict[str, Any]:
    """Return the champion's metrics.json."""
    from search.winner.models import metrics as numbers  # torch takes seconds to import

    if record.result is None:
        return {}
    found: dict[str, Any] = json.loads(json.dumps(numbers(record.result)))
    return found
