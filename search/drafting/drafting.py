"""A job document for data that were looked at: it runs as it is, and says why it is so."""

import math
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from search.common.home import Home
from search.common.labels import counted, duration
from search.common.places import is_path
from search.document.document import Document, dump_yaml
from search.document.rules import called
from search.document.spec import parse_job
from search.drafting.expectation import expected_s
from search.drafting.survey import Survey, data_of, survey
from search.jobs.jobs import NotPossibleError
from search.jobs.loading import load_data
from search.study.cost import Sizes
from trainables.datasets import SequenceDataset
from trainables.sources import files

STEPS = 1500
"""Batches that a network should learn from: fewer leave it unfinished."""

SMALL = 1000
"""Sequences of a validation part below which an accuracy tells too few configurations apart."""

FEW = 2000
"""Training sequences below which changing them a little is tried."""

SKEWED = 4
"""How many times as large as the smallest a class is, where the mean over classes counts."""

LONG = 128
"""Steps above which the head that sees all of them has too much to learn."""

BUDGETS = (
    (600.0, 40, 5),
    (1800.0, 30, 3),
    (1800.0, 24, 2),
    (1800.0, 18, 1),
    (math.inf, 12, 1),
)
"""Seconds, trials and configurations to confirm: the first budget that takes no longer is taken.
The best of few sequences may be mere luck, so that more are confirmed where that costs little."""

WRITTEN = "# Written by `gatetune init`. `gatetune launch {file}` runs it: {expected}.\n"

TEMPLATE = """\
name: {name}
data:
{data}
{task}# The first configurations that come to mind, and what the winner has to beat.
baseline:
{baseline}
# What is searched. `gatetune check {file}` names every mistake; docs/job-document.md has the rest.
space:
{space}
# {why_objective}
objective: {{metric: {metric}}}
# {why_epochs}
training: {training}
# At half of the epochs the worse half of the trials ends: the first ones tell little.
pruner: successive-halving
budget: {{trials: {trials}}}
# The best configurations are trained again with other seeds, and compared with the better baseline.
confirm: {{top: {top}, seeds: 5}}
seed: 0
"""


def draft(path: Path, overrides: Sequence[str], to: Path | None) -> tuple[Survey, Path]:
    """Look at a file or folder and write a document for it.

    Args:
        path: the data.
        overrides: ``data.KEY=VALUE`` and ``task=TASK``, for what cannot be guessed.
        to: where the document goes; None for beside the data.

    Returns:
        What was found, and the document.

    Raises:
        SpecError: an override is none, or of another section.
        DatasetError: the data cannot be read.
        NotPossibleError: the document is there already, or cannot be written.
    """
    document = to or beside(path)
    if document.exists():
        raise NotPossibleError(f"{document} is there already; --to names another file")
    known, task = data_of(path, overrides)
    found = survey(path, known, task)
    source = os.path.relpath(path, document.parent) + ("/" if path.is_dir() else "")
    given = known.model_dump(exclude_unset=True, exclude={"source"})
    if known.test is not None:
        given["test"] = os.path.relpath(known.test, document.parent)
    made = Draft(found, source if is_path(source) else f"./{source}", given, document)
    spec = parse_job(made.text(), folder=document.parent)
    made.know(load_data(spec, Home.from_environment()))
    text = made.text()
    try:
        document.write_text(text, encoding="utf-8")
    except OSError as error:
        raise NotPossibleError(f"{document} must be writable, but {error.strerror}") from error
    return found, document


def beside(path: Path) -> Path:
    """Return the document of some data; in a folder it is called as its two parts are."""
    if not path.is_dir():
        return path.with_suffix(".yaml")
    train, _ = files.parts(path)
    match = files.PART.fullmatch(train.stem)
    name = (match and match["name"]) or path.resolve().name
    return path / f"{name}.yaml"


class Draft:
    """A document for a survey's data.

    Args:
        found: the survey.
        source: what the document says of where the data are.
        data: further settings of the section `data`.
        file: the name of the document.
        processors: on which it is to run.
    """

    def __init__(
        self, found: Survey, source: str, data: Document, file: Path, processors: int | None = None
    ) -> None:
        self.found = found
        self.data = {"source": source, **data}
        self.file = file
        self.processors = processors or os.cpu_count() or 1
        tested = data.get("test_share", 0.2) if found.test is None else 0.0
        left = round((1 - tested) * found.train)
        self.share = data.get("validation", 0.2 if left < 2000 else 0.1)
        self.validation = round(self.share * left)
        self.train = max(1, left - self.validation)  # loading says what is wrong
        self.batch_size = next(
            (size for most, size in ((500, 16), (2000, 32), (20_000, 64)) if left < most), 128
        )
        self.epochs = min(100, max(6, round(STEPS * self.batch_size / self.train)))
        self.trials = self.top = 0

    def know(self, data: SequenceDataset) -> None:
        """Take over what loading the data has shown: how they are split, and what is odd."""
        self.train, self.validation = len(data.train), len(data.validation)
        self.found.notes.extend(data.notes)

    def text(self) -> str:
        """Return the file, with as many trials as there is time for."""
        document = self.document()
        title, _, rest = document.partition("\n")
        written = WRITTEN.format(file=shlex.quote(str(self.file)), expected=self.expected())
        return f"{title}\n{written}{rest}"

    def document(self) -> str:
        """Return what it says to any reader, with as many trials as there is time for."""
        for most_s, self.trials, self.top in BUDGETS:
            if self.seconds() <= most_s:
                break
        return f"# {self.title()}\n{self.filled()}"

    def expected(self) -> str:
        """Return how long it takes, in words."""
        return f"about {duration(self.seconds())} on {self.processors} processors"

    def seconds(self) -> float:
        """Return how long the job takes here."""
        return expected_s(parse_job(self.filled()), self.sizes(), self.processors)

    def sizes(self) -> Sizes:
        """Return what decides how long an epoch takes."""
        found = self.found
        masked = 2 if (self.data | self.filling()).get("mask") else 1
        return Sizes(
            train=self.train,
            validation=self.validation,
            steps=round(found.lengths[1]),
            inputs=masked * len(found.features),
            outputs=len(found.classes) or len(found.targets),
        )

    def filled(self) -> str:
        """Return the document."""
        found = self.found
        metric, why = self.objective()
        space = self.space()
        first = {"hidden_size": 64, "layers": 1, "learning_rate": 0.001}
        return TEMPLATE.format(
            file=shlex.quote(str(self.file)),
            name=flow(called(self.file.name)),
            data=block(self.data | {"validation": self.share} | self.filling()),
            task="" if found.task == "classification" else f"task: {found.task}\n",
            baseline="\n".join(
                f"  - {flow({'cell': cell, **first, **self.plain()})}" for cell in ("lstm", "gru")
            ),
            space=block(space),
            why_objective=why,
            metric=metric,
            why_epochs=(
                f"{self.epochs} epochs of {self.train} sequences are about "
                f"{self.epochs * -(-self.train // self.batch_size)} batches."
            ),
            training=flow({"epochs": self.epochs, "batch_size": self.batch_size}),
            trials=self.trials,
            top=self.top,
        )

    def title(self) -> str:
        """Return what the data are, in a line."""
        found = self.found
        least, _, most = found.lengths
        steps = f"{least} to {most}" if found.varies else str(most)
        kind = f"{len(found.classes)} classes" if found.classes else "numbers to predict"
        features = len(found.features)
        return (
            f"{counted(found.train + (found.test or 0), 'sequence')} of {steps} steps and "
            f"{counted(features, 'feature')}, {kind}."
        )

    def filling(self) -> Document:
        """Return how missing values are filled, where there are some and nobody has said it."""
        asked = "missing" in self.data or not self.found.missing
        return {} if asked else {"missing": "forward", "mask": self.data.get("mask", True)}

    def space(self) -> Document:
        """Return what is searched."""
        wide = 256 if self.train > 5000 else 128
        heads = ["last", "mean"]
        if not self.found.varies and self.found.lengths[2] <= LONG:
            heads.append("all-steps")
        # Of few sequences a network learns more when it never sees the same one twice.
        few = {"augment_shift": [0.0, 0.1, 0.2], "augment_noise": [0.0, 0.1, 0.3]}
        return {
            "cell": ["lstm", "gru"],
            "hidden_size": {"low": 32, "high": wide, "step": 32},
            "layers": {"low": 1, "high": 2},
            "bidirectional": [False, True],
            "head": heads,
            "learning_rate": {"low": 1.0e-3, "high": 2.0e-2, "log": True},
            "dropout": {"low": 0.0, "high": 0.5, "when": {"layers": {"at_least": 2}}},
            **(few if self.train < FEW else {}),
        }

    def plain(self) -> Document:
        """Return what else a baseline needs."""
        return {"bidirectional": False, "head": "last", "schedule": "constant"}

    def objective(self) -> tuple[str, str]:
        """Return the metric that is searched for, and why."""
        counts = list(self.found.classes.values())
        if not counts:
            if len(self.found.targets) > 1:
                return "val_r2", "What part of the targets' variance is told, each counting alike."
            return "val_mse", "The mean squared error, in squares of the data's units."
        if self.validation < SMALL:
            return "val_loss", (
                f"{self.validation} validation sequences: their loss tells configurations apart "
                "that have the same accuracy."
            )
        if max(counts) > SKEWED * min(counts):
            return "val_macro_f1", "Classes of unequal size: the mean of each class's F1 counts."
        return "val_accuracy", "What part of the validation sequences is told right."


def block(document: Document) -> str:
    """Return a mapping as indented lines, each value on one."""
    return "\n".join(f"  {key}: {flow(value)}" for key, value in document.items())


def flow(value: Any) -> str:
    """Return a value as YAML on one line."""
    text = dump_yaml(value, default_flow_style=True, width=10_000)
    return text.strip().removesuffix("\n...").strip()
