"""One disagreement: what it is about, what disagrees with what, and what would mend it."""

from dataclasses import dataclass
from typing import Any

from search.upkeep.doctor.steps import Repair, Step


@dataclass(frozen=True)
class Finding:
    """Something that is not as it must be."""

    kind: str
    """What is wrong, such as ``epoch-missing-in-mlflow``; programs may rely on it."""
    subject: str
    """What it is about, such as ``trial 3``, ``confirm trial 1`` or ``parent run``."""
    message: str
    """What disagrees with what, with the values."""
    step: Step | None = None
    """What mends it; None where nothing here can."""
    repaired: bool = False

    @property
    def repair(self) -> Repair | None:
        """What kind of repair mends it."""
        return None if self.step is None else self.step.repair

    def as_json(self) -> dict[str, Any]:
        """Return the finding as ``doctor --json`` prints it."""
        return {
            "kind": self.kind,
            "subject": self.subject,
            "message": self.message,
            "repair": self.repair,
            "repaired": self.repaired,
        }
