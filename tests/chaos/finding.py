"""What the harness finds wrong."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["lost", "doubled", "orphaned", "epochs", "repaired", "other"]


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it must be: what kind of loss it is, and what was seen."""

    kind: Kind
    message: str
