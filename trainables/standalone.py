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
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn
from zipfile import BadZipFile

import numpy as np

ENGINES = {"onnxruntime": "model.onnx", "torch": "model.pt2"}

HERE = Path(__file__).parent

AT_ONCE = 256


def read(path: str, said: dict[str, Any]) -> tuple[Any, Any]:
    """Return a file's sequences behind each other [all steps, features], and their lengths.

    Exits with a message where the model cannot answer them.
    """
    shape, features = said["shape"], len(said["preparation"]["offset"])
    data = arrays(path)
    if "x" not in data or ("lengths" in data) == (data["x"].ndim == 3):
        refuse("must hold x [sequences, steps, features], or x [all steps, features] and lengths")
    with np.errstate(over="ignore"):  # what is too large is refused below
        x = data["x"].astype(np.float32)
    lengths = data["lengths"] if x.ndim == 2 else np.full(len(x), x.shape[1])
    if x.shape[-1] != features:
        refuse(f"x: must have {features} features, as the model has learned, but has {x.shape[-1]}")
    others = sorted({int(length) for length in lengths} - {shape["steps"]})
    if others and not shape["varies"]:
        refuse(f"lengths: must all be {shape['steps']}, as the model has learned, but got {others}")
    x = x.reshape(-1, features)
    if lengths.sum() != len(x) or (lengths < 1).any():
        refuse(f"lengths: must be 1 or more each, and {len(x)}, the steps of x, together")
    if np.isinf(x).any():
        refuse("x: must be finite and at most 3.4e38 in size")
    if said["preparation"]["missing"] == "refuse" and np.isnan(x).any():
        refuse("x: must have no gaps, since the model was made of data without any")
    return x, lengths.astype(np.int64)


def arrays(path: str) -> dict[str, Any]:
    """Return what a file holds of x and lengths; exit with a message where it is none of numpy."""
    try:
        with Path(path).open("rb") as file:
            data = np.load(file)
            if isinstance(data, np.ndarray):
                refuse(f"{path} must be an .npz of several arrays, but is a single one")
            return {name: data[name] for name in ("x", "lengths") if name in data}
    except (OSError, ValueError, BadZipFile) as error:
        refuse(f"{path} must be an .npz of numpy, but {error}")


def refuse(what: str) -> NoReturn:
    """End with what is wrong with the file."""
    raise SystemExit(f"predict.py: {what}")


def batches(x: Any, lengths: Any, shape: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what the model takes, some sequences at a time: memory is for few of any number."""
    ends = lengths.cumsum()
    for first in range(0, len(lengths), AT_ONCE):
        some = slice(first, first + AT_ONCE)
        longest = max(shape["steps"], lengths[some].max())
        padded = np.zeros((len(lengths[some]), longest, x.shape[-1]), np.float32)
        for row, (end, length) in enumerate(zip(ends[some], lengths[some], strict=True)):
            padded[row, :length] = x[end - length : end]
        yield {"x": padded, "lengths": lengths[some]} if shape["varies"] else {"x": padded}


def asking(engine: str) -> Callable[[dict[str, Any]], Any]:
    """Return what answers [sequences, outputs] of what the model takes."""
    if engine == "torch":
        import torch

        model = torch.export.load(HERE / ENGINES[engine]).module()

        def ask(given: dict[str, Any]) -> Any:
            with torch.inference_mode():
                return model(*(torch.from_numpy(one) for one in given.values())).numpy()

        return ask
    import onnxruntime

    session = onnxruntime.InferenceSession(HERE / ENGINES[engine])
    return lambda given: session.run(None, given)[0]


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
    x, lengths = read(given.file, said)
    if given.engine == "torch" and lengths.max(initial=0) > said["shape"]["steps"]:
        refuse(
            f"lengths: must be at most {said['shape']['steps']} with torch, as learned, but got "
            f"{lengths.max()}; with onnxruntime they may be longer"
        )
    ask = asking(given.engine)
    lines = csv.writer(sys.stdout)
    for some in batches(x, lengths, said["shape"]):
        found = ask(some)
        if said["classes"]:
            found = np.exp(found - found.max(1, keepdims=True))
            found /= found.sum(1, keepdims=True)
        for row in found:
            name = [said["classes"][row.argmax()]] if said["classes"] else []
            lines.writerow([*name, *(f"{value:.9g}" for value in row)])


if __name__ == "__main__":
    main()
