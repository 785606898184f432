"""Asks the model beside this file: ``python predict.py FILE.npz [--with torch]``.

FILE.npz holds x [sequences, steps, features], the values of the data set; or x [all steps,
features] and lengths [sequences], which may differ where the model has learned of such. Prints a
line for each sequence: the class and the probability of each, or the numbers that are predicted.
Needs numpy, and onnxruntime or torch.
"""

import argparse
import csv
import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

ENGINES = {"onnxruntime": "model.onnx", "torch": "model.pt2"}

HERE = Path(__file__).parent


def read(path: str, shape: dict[str, Any]) -> dict[str, Any]:
    """Return what the model takes of a file."""
    with np.load(path) as data:
        x = data["x"].astype(np.float32)
        if not shape["varies"]:
            return {"x": apart(x, data["lengths"], shape["steps"]) if x.ndim == 2 else x}
        if x.ndim == 3:
            return {"x": x, "lengths": np.full(len(x), x.shape[1], np.int64)}
        lengths = data["lengths"].astype(np.int64)
    padded = np.zeros((len(lengths), max(shape["steps"], lengths.max()), x.shape[-1]), np.float32)
    for row, (end, length) in enumerate(zip(lengths.cumsum(), lengths, strict=True)):
        padded[row, :length] = x[end - length : end]
    return {"x": padded, "lengths": lengths}


def apart(x: Any, lengths: Any, steps: int) -> Any:
    """Return [sequences, steps, features] of sequences that lie behind each other."""
    others = sorted({int(length) for length in lengths} - {steps})
    if others:
        raise SystemExit(
            f"lengths: must all be {steps}, as the model has learned, but got {others}"
        )
    return x.reshape(len(lengths), steps, x.shape[-1])


def answer(inputs: dict[str, Any], engine: str) -> Any:
    """Return the model's outputs [sequences, outputs]."""
    if engine == "torch":
        import torch

        model = torch.export.load(HERE / ENGINES[engine]).module()
        with torch.inference_mode():
            return model(*(torch.from_numpy(one) for one in inputs.values())).numpy()
    import onnxruntime

    session = onnxruntime.InferenceSession(HERE / ENGINES[engine])
    return session.run(None, inputs)[0]


def main() -> None:
    """Print what the model says."""
    parser = argparse.ArgumentParser(prog="predict.py", description=__doc__)
    parser.add_argument("file")
    usable = [name for name, file in ENGINES.items() if (HERE / file).exists() and find_spec(name)]
    parser.add_argument("--with", dest="engine", choices=ENGINES, default=next(iter(usable), None))
    given = parser.parse_args()
    if given.engine is None:
        parser.error("needs onnxruntime and model.onnx beside it, or torch and model.pt2")
    said = json.loads((HERE / "config.json").read_text(encoding="utf-8"))
    found = answer(read(given.file, said["shape"]), given.engine)
    if said["classes"]:
        found = np.exp(found - found.max(1, keepdims=True))
        found /= found.sum(1, keepdims=True)
    lines = csv.writer(sys.stdout)
    for row in found:
        name = [said["classes"][row.argmax()]] if said["classes"] else []
        lines.writerow([*name, *(f"{value:.9g}" for value in row)])


if __name__ == "__main__":
    main()
