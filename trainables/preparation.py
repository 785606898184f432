"""What is done to raw values before a network sees them; light to import."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainables.sources import Missing


@dataclass(frozen=True)
class Preparation:
    """Learnt from the training part alone, and part of every exported model.

    Missing values are filled first; then the network sees ``(x - offset) / scale``.

    Attributes:
        offset: of each feature.
        scale: of each feature, above 0.
        missing: how a missing value is filled: ``zero``; ``mean``, the feature's offset;
            ``forward``, the last value before it in the sequence, the offset where there is none.
            With ``refuse`` there is none to be filled.
        mask: whether the network also sees, for each feature, 1 where a value was missing.
    """

    offset: tuple[float, ...]
    scale: tuple[float, ...]
    missing: Missing = "refuse"
    mask: bool = False

    @property
    def features(self) -> int:
        """Values a step in the data."""
        return len(self.offset)

    @property
    def inputs(self) -> int:
        """Values a step that the network sees."""
        return self.features * (2 if self.mask else 1)

    @classmethod
    def of(cls, saved: dict[str, Any]) -> "Preparation":
        """Return the preparation whose fields were saved as JSON."""
        listed = {name: tuple(saved[name]) for name in ("offset", "scale")}
        return cls(**{**saved, **listed})

    @classmethod
    def divide(cls, features: int, by: float) -> "Preparation":
        """Return the preparation of pictures, whose values go from 0 to ``by``."""
        return cls((0.0,) * features, (by,) * features)

    @classmethod
    def standardise(
        cls, x: NDArray[np.float32 | np.uint8], missing: Missing, *, mask: bool
    ) -> "Preparation":
        """Return the preparation after which each feature has mean 0 and deviation 1.

        Args:
            x: [all steps, features], of the training part alone.
            missing: see the class.
            mask: see the class.
        """
        offset, scale = [], []
        for column in x.T:
            known = column[~np.isnan(column)].astype(np.float64)
            mean, deviation = (known.mean(), known.std()) if len(known) else (0.0, 0.0)
            offset.append(float(np.float32(mean)))
            # A feature that never changes is left at 0.
            scale.append(float(np.float32(deviation)) if deviation > 1e-12 * abs(mean) else 1.0)
        return cls(tuple(offset), tuple(one or 1.0 for one in scale), missing, mask)
