"""The job document: what it holds, and how it is read."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from search.common.faults import SpecError, unknown
from search.common.places import anchored
from search.common.trial import Given
from search.document.baselines import split
from search.document.document import (
    Document,
    load_document,
    override,
    read_text,
    unwritable,
)
from search.document.parameters import Choices, FloatRange, IntRange
from search.document.pruners import AnyPruner, SuccessiveHalving
from search.document.rules import (
    Sections,
    check_sections,
    default_space,
    most_epochs,
    read_sections,
)
from search.document.samplers import AnySampler, Tpe
from search.document.sections import Budget, Confirm, Data, Identity, Objective, Workers
from search.document.space import Space
from trainables.config import Parameters, TrialConfig


class JobSpec(Identity):
    """One search job, every rule of the document kept.

    Made by `parse_job` and `read_job`, which check the rules between sections too, and `from_json`;
    calling the class checks each section alone.
    """

    data: Data = Field(description="what the networks learn from")
    space: dict[str, Choices | IntRange | FloatRange] = Field(
        description="what is searched: any setting of a trial, as a list or as a range"
    )
    baseline: list[dict[str, Any]] = Field(
        [], description="configurations that are tried first and that the winner has to beat"
    )
    objective: Objective = Field(Objective(), description="what the search improves")
    sampler: AnySampler = Field(Tpe(), description="how configurations are drawn")
    pruner: AnyPruner = Field(SuccessiveHalving(), description="which trials end early")
    training: dict[str, Any] = Field({}, description="settings that are not searched")
    budget: Budget = Field(Budget(), description="when the search ends")
    workers: Workers = Field(Workers(), description="what each trial gets")
    confirm: Confirm = Field(Confirm(), description="how the winner is made sure of")

    def config(self, parameters: Parameters, overrides: Parameters | None = None) -> TrialConfig:
        """Return a trial's settings: training's, then the space's, then the overrides.

        An inactive parameter has training's value, or the default.

        Raises:
            pydantic.ValidationError: a value is none of its setting's.

        """
        own = {n: self.space[n].snap(v) if n in self.space else v for n, v in parameters.items()}
        return TrialConfig(**{**self.training, **own, **(overrides or {})})

    def config_of(self, trial: Given) -> TrialConfig:
        """Return what a trial trains with."""
        return self.config(trial.params, trial.user_attrs.get("overrides", {}))

    def baselines(self) -> list[tuple[Parameters, Parameters]]:
        """Return each baseline as the space's active parameters and the settings it overrides."""
        space = Space.of(self)
        return [split(entry, space, self.training, "baseline", []) for entry in self.baseline]

    @property
    def most_epochs(self) -> int:
        """The most epochs that a trial of the search may have."""
        return most_epochs(self.space, self.training)

    @property
    def most_replicates(self) -> int:
        """The most runs that the confirmation may have."""
        confirm = self.confirm
        return (confirm.top + bool(self.baseline)) * confirm.seeds if confirm.top else 0

    def to_json(self) -> str:
        """Return the document with its sections' defaults.

        The space keeps its order, since samplers draw one parameter after the other: a job that is
        read back goes on as it began.

        Of `training` it has what the document says: who changes a setting's default has to write
        the one of before into the jobs that are there.
        """
        return json.dumps(self.model_dump(mode="json", by_alias=True))

    @classmethod
    def from_json(cls, text: str) -> "JobSpec":
        """Return the job that `to_json` wrote; raise `SpecError` if a section breaks a rule.

        Rules between sections are for what is launched: a job stays readable that an older version
        took, which had fewer.
        """
        faults: list[str] = []
        return built(read_keys(json.loads(text), faults), faults)


def parse_job(text: str, overrides: Sequence[str] = (), *, folder: Path | None = None) -> JobSpec:
    """Return the job of a YAML document.

    Args:
        text: the document.
        overrides: ``a.b.c=value``, the value as YAML, through mappings and list indices.
        folder: where the document's relative paths begin, those of overrides beginning in the
            working directory; None to leave them as they are.

    Raises:
        SpecError: with all faults of document and overrides.

    """
    faults: list[str] = []
    return check_document(document_of(text, overrides, faults, folder=folder), faults)


def document_of(
    text: str, overrides: Sequence[str], faults: list[str], *, folder: Path | None
) -> Document:
    """Return a YAML document with its overrides, nothing else checked; see `parse_job`."""
    document = load_document(text)
    if folder is not None:
        document = with_paths(document, folder)
    inner = [text for text in overrides if text.startswith("space.")]
    document = override(document, [text for text in overrides if text not in inner], faults)
    if folder is not None:
        document = with_paths(document, Path.cwd())
    if inner and document.get("space") is None:
        document["space"] = default_space(document.get("training"))
    return override(document, inner, faults)


def read_job(path: str | Path, overrides: Sequence[str] = ()) -> JobSpec:
    """Return the job of a YAML file; as `parse_job`, and a file that is no text is a fault."""
    return parse_job(read_text(Path(path)), overrides, folder=Path(path).parent)


def with_paths(document: Document, folder: Path) -> Document:
    """Return a document whose data have absolute paths, relative ones beginning in a folder."""
    data = document.get("data")
    if not isinstance(data, dict):
        return document
    paths = {key: anchored(data[key], folder) for key in ("source", "test") if key in data}
    return {**document, "data": {**data, **paths}}


def check_document(document: Document, faults: list[str]) -> JobSpec:
    """Return the job, or raise `SpecError` with all faults, those in ``faults`` first."""
    found = read_keys(document, faults)
    check_sections(found, faults)
    return built(found, faults)


def read_keys(document: Document, faults: list[str]) -> Sections:
    """Return the sections that are valid; ``faults`` takes the others', and unknown keys."""
    faults += [unknown(key, "key", KEYS) for key in document if key not in KEYS]
    faults += unwritable(document)
    return read_sections(document, faults)


def built(found: Sections, faults: list[str]) -> JobSpec:
    """Return the job of valid sections, or raise `SpecError` with the faults."""
    if faults:
        raise SpecError(faults)
    return JobSpec(**found)


KEYS = (
    "name",
    "data",
    "task",
    "space",
    "baseline",
    "objective",
    "sampler",
    "pruner",
    "training",
    "budget",
    "workers",
    "confirm",
    "warm_start",
    "seed",
)
"""The keys of a document, in the order in which it is best read."""
