"""Exports as strangers use them: asked in processes of their own, without this project."""

import csv
import io
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from trainables.export import Example, ExportedNetwork, ExportError

ENGINES = {"model.pt2": "torch", "model.onnx": "onnxruntime"}
"""What answers for each file."""

NEEDED = (*ENGINES, "config.json", "predict.py")

TOLERANCE = 1e-4
"""How far apart probabilities may be; numbers, in proportion to their deviation."""

TIMEOUT_S = 300.0


def differences(
    contents: Mapping[str, bytes], model: ExportedNetwork, example: Example
) -> dict[str, float]:
    """Return how far the answers of each export are from the model's, by its file.

    Args:
        contents: files of the champion's folder by name, `NEEDED` among them.
        model: what they are exports of.
        example: sequences in the data's units, not as many as the exports were traced with.

    Raises:
        ExportError: one does not answer, or something else.
    """
    with torch.inference_mode():
        outputs = model(*example)
    wanted = (outputs if model.restores else outputs.softmax(1)).double().numpy()
    # Numbers are known to so much of their spread, and float32 holds so much of their size.
    spread = float(model.target_scale.max()) if model.restores else 1.0
    allowed = TOLERANCE * spread + 1e-6 * float(np.abs(wanted).max())
    with tempfile.TemporaryDirectory() as folder:
        for name in NEEDED:
            Path(folder, name).write_bytes(contents[name])
        write(Path(folder, "example.npz"), example)
        asked = {name: ask(folder, engine) for name, engine in ENGINES.items()}
        try:
            apart = {
                name: float(np.abs(said(name, one, wanted.shape[1]) - wanted).max())
                for name, one in asked.items()
            }
        finally:
            for one in asked.values():
                one.kill()
                one.communicate()
    for name, value in apart.items():
        if not value <= allowed:
            raise ExportError(f"in a process of its own {name} answers {value:.2g} apart")
    return apart


def write(path: Path, example: Example) -> None:
    """Write an example as `predict.py` reads it."""
    x, *lengths = (one.numpy() for one in example)
    if lengths:
        flat = np.concatenate([one[:length] for one, length in zip(x, lengths[0], strict=True)])
        np.savez(path, x=flat, lengths=lengths[0])
    else:
        np.savez(path, x=x)


def ask(folder: str, engine: str) -> "subprocess.Popen[str]":
    """Let an export answer the example, while the other does."""
    command = [sys.executable, "-P", "-W", "ignore", "predict.py", "example.npz", "--with", engine]
    return subprocess.Popen(  # noqa: S603 - of files that were just made
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def said(name: str, asked: "subprocess.Popen[str]", outputs: int) -> NDArray[np.float64]:
    """Return what an export has answered [sequences, outputs], without the names of classes.

    Raises:
        ExportError: nothing.
    """
    try:
        out, error = asked.communicate(timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise ExportError(f"in a process of its own {name} does not answer") from None
    if asked.returncode:
        reason = (error.strip().splitlines() or ["it says nothing"])[-1]
        raise ExportError(f"in a process of its own {name} fails: {reason}")
    rows = csv.reader(io.StringIO(out))
    return np.array([[float(value) for value in row[-outputs:]] for row in rows])
