"""What a fetched model, or the champion of a job, says of a file of sequences."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from pyarrow import csv, parquet
from safetensors import SafetensorError

from search.common.faults import SpecError
from search.common.home import Home
from search.database.tables import Job
from search.drafting.survey import data_of
from search.jobs.jobs import JobNotFoundError, NotPossibleError, find, open_existing
from search.winner.fetching import answering, champion_files
from search.winner.models import Saved, load_saved
from trainables.faults import DatasetError, brief
from trainables.folder import Folder, FolderError, LocalFolder
from trainables.goals import Classes, Numbers
from trainables.labels import check_classes, encode, names, numbers
from trainables.prediction import outputs, part_for
from trainables.sequences import Sequences
from trainables.sources import files
from trainables.sources.columns import Columns

WRITTEN = (".csv", ".parquet", ".json")
"""What predictions are written as."""


@dataclass(frozen=True)
class Predictions:
    """What a model says of sequences.

    Attributes:
        sequences: what each is called in the file, or its number there, from 1.
        outputs: what each column of ``values`` stands for: a class or a target.
        values: [sequences, outputs]; of classes their probabilities, which add up to 1.
        is_classes: whether they are classes.
        scores: every metric, where the file has labels; None where it has none.
    """

    sequences: list[Any]
    outputs: tuple[str, ...]
    values: NDArray[np.float64]
    is_classes: bool
    scores: dict[str, float] | None

    @property
    def answers(self) -> list[str]:
        """The likeliest class of each sequence."""
        return [self.outputs[place] for place in self.values.argmax(1)]

    @property
    def counts(self) -> dict[str, int]:
        """How many sequences were taken for each class, the most first."""
        return dict(Counter(self.answers).most_common())

    def table(self) -> pa.Table:
        """Return a row a sequence: its name, the class and all probabilities, or the numbers.

        A target called ``sequence``, as the names are, becomes ``predicted_sequence``.
        """
        columns: dict[str, Any] = {"sequence": self.sequences}
        prefix = "p_" if self.is_classes else ""
        if self.is_classes:
            columns["prediction"] = self.answers
        for place, name in enumerate(self.outputs):
            column = f"{prefix}{name}"
            while column in columns:
                column = f"predicted_{column}"
            columns[column] = self.values[:, place]
        return pa.table(columns)

    def write(self, path: Path) -> None:
        """Write the table.

        Raises:
            NotPossibleError: it cannot be written.
        """
        table = self.table()
        try:
            if path.suffix == ".csv":
                csv.write_csv(table, path)
            elif path.suffix == ".parquet":
                parquet.write_table(table, path)
            else:
                path.write_text(json.dumps(table.to_pylist(), indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise NotPossibleError(f"{path} must be writable, but {error.strerror}") from error


def predict(home: Home, model: str, path: Path, columns: Columns) -> Predictions:
    """Ask a model about the sequences of a file.

    Args:
        home: the installation, whose jobs have models.
        model: a folder that `fetch` wrote, or a job's id or name.
        path: the file, in any format that is read; it need not have labels.
        columns: which column is what, where it differs from the model's data.

    Raises:
        JobNotFoundError, NotPossibleError: there is no such model.
        DatasetError: the file cannot be read, or is not what the model has learned.
    """
    with saved_model(home, model) as saved:
        if not path.is_file():
            raise DatasetError(f"INPUT must be a file of sequences, but {path} is none")
        found = files.read(path, known_columns(path, saved.columns, columns), labelled=False)
        part = part_for(path.name, found, saved.shape, saved.preparation)
        answered = outputs(saved.model, part, saved.preparation)
        values = answered.astype(np.float64)
        if saved.classes:
            values = torch.from_numpy(values).softmax(1).numpy()
        counted: list[Any] = list(range(1, len(part) + 1))
        return Predictions(
            sequences=counted if found.ids is None else found.ids.tolist(),
            outputs=saved.outputs,
            values=values,
            is_classes=bool(saved.classes),
            scores=scores(saved, found, torch.from_numpy(answered)),
        )


def known_columns(path: Path, learned: Columns, said: Columns) -> Columns:
    """Return which column is what: as was said, else as in the data that the model has learned.

    Those by which the data were split are not asked for.
    """
    if path.suffix not in files.TABLES:
        return said
    before = asdict(replace(learned, group=None, time=None))
    return Columns(**{key: now or before[key] for key, now in asdict(said).items()})


def scores(saved: Saved, found: Sequences, answered: torch.Tensor) -> dict[str, float] | None:
    """Return how well a model answers, None where nothing says what would be right.

    Raises:
        DatasetError: a label is no class that the model knows.
    """
    if not found.is_labelled:
        return None
    if saved.targets is not None:
        y = torch.from_numpy(numbers(found))
        if y.shape[1] != len(saved.targets.names):
            raise DatasetError(
                f"label: must be the {len(saved.targets.names)} numbers that the model predicts, "
                f"{brief(saved.targets.names)}, or none, but the file has {brief(found.targets)}"
            )
        offset, scale = torch.tensor(saved.targets.offset), torch.tensor(saved.targets.scale)
        return Numbers(offset, scale).scores((answered - offset) / scale, y)
    check_classes(found)
    unknown = sorted(set(names(found.labels)) - set(saved.classes))
    if unknown:
        raise DatasetError(
            f"label {found.targets[0]}: must be one of the model's classes, "
            f"{brief(saved.classes)}, but the file has {brief(unknown)}"
        )
    return Classes().scores(answered, torch.from_numpy(encode(found.labels, saved.classes)))


@contextmanager
def saved_model(home: Home, model: str) -> Iterator[Saved]:
    """Yield the model in a folder, or the champion of a job.

    Raises:
        JobNotFoundError, NotPossibleError: there is none.
    """
    if Path(model, "config.json").is_file():
        yield read_saved(LocalFolder(Path(model)), model)
        return
    job = job_called(home, model)
    with answering(job):
        yield read_saved(champion_files(home, job), job.id)


def job_called(home: Home, model: str) -> Job:
    """Return the job that a person who names no folder must mean.

    Raises:
        JobNotFoundError: there is none.
    """
    try:
        with closing(open_existing(home)) as store:
            return find(store, model)
    except JobNotFoundError as error:
        bare = f"the folder {model} has no config.json, and " if Path(model).is_dir() else ""
        raise JobNotFoundError(
            f"MODEL must be a folder that `gatetune fetch` wrote, or a job, but {bare}{error}"
        ) from error


def read_saved(folder: Folder, called: str) -> Saved:
    """Return the model of a folder.

    Raises:
        NotPossibleError: there is none, or it is damaged.
        FolderError: the store of the checkpoints cannot be used.
    """
    try:
        return load_saved(folder)
    except FolderError:
        raise
    except FileNotFoundError as error:
        raise NotPossibleError(
            f"{called} must hold a model as `gatetune fetch` writes it, but {error.filename} is "
            "missing; what was fetched with --format onnx or pt2 is asked by `python predict.py`"
        ) from error
    except (OSError, KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
        why = " ".join(str(error).split())[:200]
        raise NotPossibleError(
            f"{called} must hold a model as `gatetune fetch` writes it, but {why}"
        ) from error


def check_output(to: Path | None) -> None:
    """Refuse to write predictions as what we do not know, before anything is read.

    Raises:
        NotPossibleError: the file's suffix is none of ours.
    """
    if to is not None and to.suffix not in WRITTEN:
        raise NotPossibleError(f"--to must end in {', '.join(WRITTEN)}, but got {to}")


def columns_said(path: Path, overrides: Sequence[str]) -> Columns:
    """Return what a person says about the columns of a file.

    Raises:
        SpecError: an override is none, or says something else than columns.
    """
    data, _ = data_of(path, overrides)
    known = [f"data.{field.name}" for field in fields(Columns)]
    faults = [
        f"--set {one}: must name a column, with {', '.join(known)}; all else the model knows"
        for one in overrides
        if one.partition("=")[0].strip() not in known
    ]
    if faults:
        raise SpecError(faults)
    return data.columns
