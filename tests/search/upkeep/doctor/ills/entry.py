"""What an ill is, and how a function that plants one becomes an entry."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.search.upkeep.doctor.conftest import Patient

Named = tuple[str, str]
"""Kind and subject of a finding."""


@dataclass(frozen=True)
class Ill:
    """One way to be in disorder."""

    plant: Callable[[Patient], None]
    named: frozenset[Named]
    curable: bool


ENTERED: dict[str, Ill] = {}


def ill(*named: Named, curable: bool = True) -> Callable[[Callable[[Patient], None]], None]:
    """Make an entry of a function that plants a disorder."""

    def enter(plant: Callable[[Patient], None]) -> None:
        assert plant.__name__ not in ENTERED
        ENTERED[plant.__name__] = Ill(plant, frozenset(named), curable)

    return enter
