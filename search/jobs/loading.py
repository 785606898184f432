"""A document's data: where they lie, loaded, and compared with what a job began with."""

from pathlib import Path
from typing import Any

from search.common.faults import SpecError
from search.common.home import Home
from search.common.places import is_path
from search.database.tables import Job
from search.document.parameters import Choices
from search.document.sections import Data
from search.document.spec import JobSpec
from search.jobs.jobs import NotPossibleError
from trainables.faults import DatasetError
from trainables.metrics import Task
from trainables.sources import files


def load_data(spec: JobSpec, home: Home) -> Any:
    """Load the document's data set.

    Raises:
        DatasetError: it cannot be used, or not with what the document trains.
    """
    data = read_data(spec.data, spec.task, spec.seed, home)
    check_heads(spec, data)
    return data


def read_data(said: Data, task: Task, seed: int, home: Home) -> Any:
    """Load the data set of a section `data`.

    Raises:
        DatasetError: it cannot be used.
    """
    from trainables.datasets import load_dataset
    from trainables.sources.files import FileOptions

    return load_dataset(
        said.source,
        validation=said.validation,
        seed=seed,
        data_dir=home.data,
        options=FileOptions(
            task=task,
            columns=said.columns,
            test=None if said.test is None else Path(said.test),
            test_share=said.test_share,
            missing=said.missing,
            mask=said.mask,
        ),
    )


def check_heads(spec: JobSpec, data: Any) -> None:
    """Refuse the head that needs sequences of one length, where they are not.

    Raises:
        DatasetError: the document trains it, or searches it.
    """
    if data.shape.varies and "all-steps" in heads(spec):
        raise DatasetError(
            f"training.head: must be last or mean, since the sequences of {data.name} are of "
            "unequal lengths, but got all-steps"
        )


def heads(spec: JobSpec) -> set[object]:
    """Return every head that a trial of the job may have."""
    searched = spec.space.get("head")
    found: set[object] = set(searched.choices) if isinstance(searched, Choices) else set()
    if searched is None or searched.when:
        found.add(spec.config({}).head)
    return found | {entry["head"] for entry in spec.baseline if "head" in entry}


def check_source(data: Data) -> None:
    """Make sure that the files of a document are there, before anything is created.

    Raises:
        DatasetError: they are not.
    """
    if is_path(data.source):
        files.parts(Path(data.source))
    if data.test is not None:
        files.check_test(Path(data.test))


def allowed(spec: JobSpec, home: Home) -> JobSpec:
    """Return the job with the paths of its data where they may be read on this machine.

    Looked up again whenever a driver starts: it may be on another machine than the service, and a
    link may lead elsewhere by now.

    Raises:
        SpecError: they may not be read.
    """
    found = {
        key: located(home, f"data.{key}", path)
        for key in ("source", "test")
        if (path := getattr(spec.data, key)) is not None and is_path(path)
    }
    return spec.model_copy(update={"data": spec.data.model_copy(update=found)})


def of_job(job: Job, spec: JobSpec, home: Home) -> JobSpec:
    """Return the document of a job that exists, its data where they are on this machine.

    Raises:
        SpecError: it came over the network, and its data may not be read.
    """
    # A document of this machine has whole paths alone.
    foreign = job.supervised or not Path(spec.data.source).is_absolute()
    return allowed(spec, home) if foreign else spec


def located(home: Home, key: str, source: str) -> str:
    """Return where a job that came over the network finds its data.

    Raises:
        SpecError: it may not be read, or one of the files in a folder may not; or a folder does
            not hold one data set.
    """
    path = home.places.find(key, source)
    try:
        inside = files.parts(path) if path.is_dir() else ()
    except DatasetError as error:
        raise SpecError([str(error)]) from error
    for file in filter(None, inside):
        home.places.find(key, str(file))
    return str(path)


def describe_data(data: Any) -> dict[str, Any]:
    """Return what identifies a data set, as JSON can hold it."""
    return {
        "name": data.name,
        "fingerprint": data.fingerprint,
        "train": len(data.train.y),
        "validation": len(data.validation.y),
        "test": len(data.test.y),
        "steps": data.shape.steps,
        "varies": data.shape.varies,
        "features": data.features,
        "classes": list(data.classes),
        "targets": list(data.targets.names) if data.targets else [],
    }


def check_same_data(job: Job, dataset: dict[str, Any]) -> None:
    """Refuse to go on with other data than the job began with.

    Raises:
        NotPossibleError: the fingerprints differ.
    """
    began = job.data.get("fingerprint")
    if began != dataset["fingerprint"]:
        raise NotPossibleError(
            f"job {job.id} began with data {str(began)[:12]}, but {dataset['name']} is now "
            f"{dataset['fingerprint'][:12]}; its trials would not compare"
        )
