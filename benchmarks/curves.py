"""Makes the table of real learning curves on which `search_quality` tries searches.

    python -m benchmarks.curves --each 300

Draws configurations at random from this project's own space, on two data sets of pictures and one
of series, and trains each to its last epoch as a trial does, one thread each, over all processors.
Each is trained several times, from different seeds on the same sequences: what a search finds in
one training is judged by the others, so that luck with a seed does not count. A table that is there
already is gone on with, but for one of another space or training, which is refused.
"""

import argparse
import gzip
import json
import platform
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.bench import over_processors, processor
from search.common.home import Home
from search.document.seeding import derive_seed
from search.document.spec import JobSpec, parse_job
from trainables.config import Parameters, Precision, TrialConfig
from trainables.datasets import SequenceDataset, load_dataset
from trainables.sources import ARCHIVED
from trainables.sources.files import FileOptions
from trainables.sources.named import archived

if TYPE_CHECKING:
    from trainables.training import Trainer

TABLE = Path(__file__).parent / "data" / "curves.json.gz"

FIRST = "trial"
"""The training whose seeds are those that a job's trials would have."""

DOCUMENT = """
name: quality
data: {{source: {source}, validation: {validation}}}
space:
  cell: [lstm, gru]
  hidden_size: {{low: 32, high: {widest}, step: 32}}
  layers: {{low: 1, high: 3}}
  learning_rate: {{low: 1.0e-4, high: 3.0e-2, log: true}}
  dropout: {{low: 0.0, high: 0.5, when: {{layers: {{at_least: 2}}}}}}
training: {{{training}}}
confirm: {{top: 0}}
"""

DOCUMENTS = {
    source: DOCUMENT.format(source=source, widest=widest, validation=validation, training=training)
    # Where sequences are longer and more, narrower networks keep the table cheap to make.
    for source, widest, validation, training in (
        ("digits", 256, 0.2, "epochs: 6"),
        ("mnist-5k", 128, 0.2, "epochs: 6"),
        # Few sequences: more of them to compare by, smaller batches, more epochs.
        ("japanese-vowels", 128, 0.4, "epochs: 12, batch_size: 16, head: last"),
    )
}
"""The search of each data set, without sampler and pruner."""

WRITTEN_EVERY_S = 30
"""As a large table takes half a second."""


@dataclass(frozen=True)
class Curve:
    """One configuration, trained.

    Attributes:
        number: its place among the draws; with the document it fixes parameters and seed.
        parameters: the active parameters of the space.
        val_accuracy: of each epoch, but for one in which it diverged.
        val_loss: the same.
        seconds: processor seconds of each epoch, with the one in which it diverged.
        precision: in which it was trained, as `precision: auto` chose on that machine.
    """

    number: int
    parameters: Parameters
    val_accuracy: list[float]
    val_loss: list[float]
    seconds: list[float]
    precision: Precision

    @property
    def best(self) -> float | None:
        """The accuracy of its best epoch, None where it diverged."""
        whole = len(self.val_accuracy) == len(self.seconds)
        return max(self.val_accuracy) if whole else None


@dataclass
class Curves:
    """The table: how it was made, and the curves of each data set.

    Attributes:
        made: of each data set, what its curves depend on.
        trainings: by what the seeds of each are derived from, the curves of each data set, in the
            order of their numbers.
    """

    made: dict[str, dict[str, str]]
    trainings: dict[str, dict[str, list[Curve]]]

    @classmethod
    def read(cls, path: Path) -> "Curves":
        """Return the table of a file."""
        with gzip.open(path, "rt", encoding="utf-8") as stream:
            found = json.load(stream)
        if "trainings" not in found:
            raise SystemExit(f"{path} is a table of an earlier form: move it away first")
        trainings = {
            name: {source: [Curve(**one) for one in many] for source, many in curves.items()}
            for name, curves in found["trainings"].items()
        }
        return cls(found["made"], trainings)

    def write(self, path: Path) -> None:
        """Write the table whole, or not at all."""
        for curves in self.trainings.values():
            for many in curves.values():
                many.sort(key=lambda curve: curve.number)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        with gzip.open(part, "wt", encoding="utf-8") as stream:
            json.dump(asdict(self), stream, separators=(",", ":"))
        part.replace(path)


def configurations(spec: JobSpec, number: int) -> list[Parameters]:
    """Return the first draws of a random search, which are the same every time."""
    from search.study.mirror import Mirror

    mirror = Mirror(spec)
    drawn = [mirror.draw(place) for place in range(number)]
    return [trial.params for trial in drawn if trial is not None]


@cache
def dataset(source: str) -> SequenceDataset:
    """Return a data set, split as its document says, once a process.

    Series of the archive are learned from its test part, which is the larger one.
    """
    spec = parse_job(DOCUMENTS[source])
    given, options = source, FileOptions()
    if source in ARCHIVED:
        fewer, more = archived(source)
        given, options = str(more), FileOptions(test=fewer)
    return load_dataset(
        given,
        validation=spec.data.validation,
        seed=spec.seed,
        data_dir=Home.from_environment().data,
        options=options,
    )


def begin() -> None:
    """Prepare a process: all that an epoch would otherwise pay for once."""
    from trainables.device import configure

    configure(threads=1)
    for source, document in DOCUMENTS.items():
        trainer(source, parse_job(document).config({"hidden_size": 32}), 0).run_epoch()


def trainer(source: str, config: TrialConfig, seed: int, device: str = "cpu") -> "Trainer":
    """Return what trains a configuration as a trial does."""
    import torch

    from trainables.training import Trainer

    return Trainer(
        config,
        dataset(source),
        seed=seed,
        device=torch.device(device),
        metric="val_accuracy",
        direction="maximize",
    )


def train(training: str, source: str, number: int, parameters: Parameters) -> Curve:
    """Return the curve of a configuration in one of its trainings."""
    from trainables.training import Diverged

    spec = parse_job(DOCUMENTS[source])
    trained = trainer(source, spec.config(parameters), derive_seed(spec.seed, training, number))
    curve = Curve(number, parameters, [], [], [], trained.precision)
    while trained.epoch < trained.config.epochs:
        began = time.process_time()  # to which a neighbour on a busy machine adds little
        try:
            metrics = trained.run_epoch()
        except Diverged:
            break
        finally:
            curve.seconds.append(round(time.process_time() - began, 3))
        curve.val_accuracy.append(round(metrics["val_accuracy"], 5))
        curve.val_loss.append(round(metrics["val_loss"], 5))
    return curve


def made(source: str) -> dict[str, str]:
    """Return what the curves of a data set depend on."""
    import torch

    return {
        "document": DOCUMENTS[source],
        "torch": torch.__version__,
        "python": platform.python_version(),
        "processor": processor(),
    }


def complete(path: Path, each: int, times: int) -> Curves:
    """Train what a table lacks of so many configurations on each data set, and return it.

    Args:
        path: its file.
        each: configurations of a data set.
        times: trainings of a configuration, two or more: one is searched, the others judge.
    """
    table = Curves.read(path) if path.exists() else Curves({}, {})
    for source, document in DOCUMENTS.items():
        if table.made.setdefault(source, made(source))["document"] != document:
            raise SystemExit(
                f"{path}: {source} was made with another space or training: move it away first"
            )
    for name in names(times):
        for source in DOCUMENTS:
            table.trainings.setdefault(name, {}).setdefault(source, [])
    work = {
        (training, source, number): partial(train, training, source, number, parameters)
        for training, source, number, parameters in missing(table, each)
    }
    written = time.monotonic()
    for (training, source, _), curve in over_processors("training", work, begin):
        table.trainings[training][source].append(curve)
        if time.monotonic() - written > WRITTEN_EVERY_S:
            table.write(path)
            written = time.monotonic()
    table.write(path)
    return table


def names(times: int) -> list[str]:
    """Return of what the seeds of so many trainings are derived."""
    return [FIRST, "again", *(f"again {place}" for place in range(2, times))]


def missing(table: Curves, each: int) -> Iterator[tuple[str, str, int, Parameters]]:
    """Yield what is yet to be trained."""
    for source, (training, curves) in product(DOCUMENTS, table.trainings.items()):
        there = {curve.number for curve in curves[source]}
        drawn = configurations(parse_job(DOCUMENTS[source], ["sampler=random"]), each)
        yield from ((training, source, n, one) for n, one in enumerate(drawn) if n not in there)


def main() -> None:
    """Make the table and say what it holds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--each", type=int, default=300, help="configurations a data set")
    parser.add_argument("--times", type=int, default=4, help="its trainings, two or more")
    parser.add_argument("--table", type=Path, default=TABLE, help="the file that keeps the table")
    options = parser.parse_args()
    if options.times < 2:
        parser.error(f"--times must be at least 2, but got {options.times}")
    table = complete(options.table, options.each, options.times)
    for name, source in product(table.trainings, DOCUMENTS):
        curves = table.trainings[name][source]
        seconds = sum(sum(curve.seconds) for curve in curves) / len(curves)
        bests = [curve.best for curve in curves if curve.best is not None]
        print(
            f"{source}, {name}: {len(curves)} curves of {seconds:.1f} s each, best accuracy "
            f"{max(bests):.4f}, {len(curves) - len(bests)} diverged"
        )


if __name__ == "__main__":
    main()
