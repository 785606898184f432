"""Exports as strangers use them: asked in processes of their own, without this project."""

import csv
import io
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from trainables.export import Example, ExportedNetwork, ExportError

ENGINES = {"model.pt2": "torch", "model.onnx": "onnxruntime"}
"""What answers for each file."""

ASKING = """
import atexit, gc, runpy
gc.set_threshold(100_000)
import {needs}
atexit.register(gc.freeze)
input()
runpy.run_path("predict.py", None, "__main__")
"""
"""What a process does: all that takes time, then what a stranger would call, as soon as it may.

It ends without looking for garbage, which would take a second.
"""

NEEDS = {"torch": "torch.export.pt2_archive", "onnxruntime": "onnxruntime"}
"""What each engine imports to read an export."""

TOLERANCE = 1e-4
"""How far apart probabilities may be; numbers, in proportion to their deviation."""

TIMEOUT_S = 300.0


@dataclass(frozen=True)
class Strangers:
    """The processes that ask exports.

    Attributes:
        folder: in which they look for the files.
        asked: what they ask, by the name of the export.
    """

    folder: str
    asked: "Mapping[str, list[Asked]]"

    def differences(
        self, contents: Mapping[str, bytes], model: ExportedNetwork
    ) -> tuple[dict[str, float], dict[str, str]]:
        """Ask exports, one after the other, and hold their answers against the model's.

        Args:
            contents: config.json, predict.py and the exports, by name.
            model: what they are exports of.

        Returns:
            The largest difference of each export that answers as the model does, and what is wrong
            with the others.
        """
        for name, content in contents.items():
            Path(self.folder, name).write_bytes(content)
        asked = {name: ones for name, ones in self.asked.items() if name in contents}
        apart, wrong = {}, {}
        for name, several in asked.items():
            try:
                apart[name] = max(one.difference(model) for one in several)
            except ExportError as error:
                wrong[name] = str(error)
        return apart, wrong


@contextmanager
def strangers(example: Example) -> Iterator[Strangers]:
    """Begin the processes ahead of the exports, to import what they need; they end with the block.

    Where lengths vary, ONNX is asked of sequences that are twice as long, too: it takes any.

    Args:
        example: sequences in the data's units, not as many as the exports are traced with.
    """
    examples = {"model.pt2": [example], "model.onnx": [example, *longer(example)]}
    with ExitStack() as begun:
        folder = begun.enter_context(tempfile.TemporaryDirectory())
        yield Strangers(
            folder,
            {
                name: [
                    begun.enter_context(closing(Asked(folder, f"{place}.npz", name, one)))
                    for place, one in enumerate(ones)
                ]
                for name, ones in examples.items()
            },
        )


def longer(example: Example) -> list[Example]:
    """Return the sequences of unequal lengths made twice as long; nothing of equal ones."""
    if len(example) == 1:
        return []
    x, lengths = example
    return [(torch.cat((x, x), 1), lengths + x.shape[1])]


def write(path: Path, example: Example) -> None:
    """Write an example as `predict.py` reads it."""
    x, *lengths = (one.numpy() for one in example)
    if lengths:
        flat = np.concatenate([one[:length] for one, length in zip(x, lengths[0], strict=True)])
        np.savez(path, x=flat, lengths=lengths[0])
    else:
        np.savez(path, x=x)


class Asked:
    """An export that answers an example in a process of its own, when that is asked for.

    Args:
        folder: of its files; the example is written there.
        file: the example's name.
        name: of the export.
        example: what it is asked.
    """

    def __init__(self, folder: str, file: str, name: str, example: Example) -> None:
        self.example = example
        write(Path(folder, file), example)
        asking = ASKING.format(needs=NEEDS[ENGINES[name]])
        command = [sys.executable, "-P", "-W", "ignore", "-c", asking]
        self.process = subprocess.Popen(  # noqa: S603 - of files that are made here
            [*command, file, "--with", ENGINES[name]],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # a Ctrl-C is for the driver, which ends after this stage
        )

    def difference(self, model: ExportedNetwork) -> float:
        """Return how far its answers are from the model's, at the most.

        Raises:
            ExportError: it does not answer, or something else.
        """
        with torch.inference_mode():
            outputs = model(*self.example)
        wanted = (outputs if model.restores else outputs.softmax(1)).double().numpy()
        # Numbers are known to so much of their spread, and float32 holds so much of their size.
        allowed = TOLERANCE * model.spread.double().numpy() + 1e-6 * np.abs(wanted).max(0)
        apart = np.abs(self.said(wanted.shape[1]) - wanted)
        value = float(apart.max())
        if not (apart <= allowed).all():
            raise ExportError(f"in a process of its own it answers {value:.2g} apart")
        return value

    def said(self, outputs: int) -> NDArray[np.float64]:
        """Let it answer, and return that [sequences, outputs], without the names of classes.

        Raises:
            ExportError: nothing.
        """
        try:
            out, error = self.process.communicate("\n", timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise ExportError("in a process of its own it does not answer") from None
        if self.process.returncode:
            reason = (error.strip().splitlines() or ["it says nothing"])[-1]
            raise ExportError(f"in a process of its own it fails: {reason}")
        rows = csv.reader(io.StringIO(out))
        return np.array([[float(value) for value in row[-outputs:]] for row in rows])

    def close(self) -> None:
        """End the process, if it has not."""
        self.process.kill()
        self.process.communicate()
