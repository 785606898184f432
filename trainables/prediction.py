"""What a trained network answers of sequences that nobody has labelled."""

import numpy as np
import torch
from numpy.typing import NDArray

from trainables.batches import Placed
from trainables.datasets import Part, Shape
from trainables.export import ExportedNetwork
from trainables.faults import DatasetError, brief
from trainables.preparation import Preparation
from trainables.sequences import Sequences


def part_for(name: str, found: Sequences, shape: Shape, preparation: Preparation) -> Part:
    """Return sequences as a part that a network can be asked about.

    Args:
        name: of the file, for messages.
        found: what was read.
        shape: of what the network has learned.
        preparation: of that, too.

    Raises:
        DatasetError: they have other features or another length, or lack values that it cannot do
            without.
    """
    features = found.x.shape[1]
    if features != preparation.features:
        raise DatasetError(
            f"{name}: must have the {preparation.features} features that the model has learned, "
            f"but has {features}: {brief(found.features)}"
        )
    lacking = np.isnan(found.x)
    if preparation.missing == "refuse" and lacking.any():
        place = found.place(*map(int, np.unravel_index(lacking.argmax(), lacking.shape)))
        raise DatasetError(
            f"{name}, {place}: must have a value, since the model was made of data without gaps"
        )
    y = np.zeros(len(found.lengths), np.int64)
    if shape.varies:
        return Part(found.x, y, found.lengths)
    other = found.lengths != shape.steps
    if other.any():
        at = int(other.argmax())
        raise DatasetError(
            f"{name}, sequence {at + 1}: must have {shape.steps} steps as what the model has "
            f"learned, but has {found.lengths[at]}"
        )
    return Part(found.x.reshape(len(y), shape.steps, features), y)


def outputs(model: ExportedNetwork, part: Part, preparation: Preparation) -> NDArray[np.float32]:
    """Return what a network answers [sequences, outputs], in the order of the part.

    Args:
        model: as `build_model` returns it.
        part: as `part_for` returns it.
        preparation: of the model.
    """
    placed = Placed(torch.device("cpu"), part, preparation)
    found = torch.empty(len(part), model.network.linear.out_features)
    with torch.inference_mode():
        for rows in placed.by_length(placed.at_once):
            batch = placed.rows(rows)
            found[rows.at] = model.restored(model.network(batch.x, batch.lengths))
    return found.numpy()
