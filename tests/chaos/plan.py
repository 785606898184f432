"""Which faults a job meets and when, all of it from one number."""

from dataclasses import dataclass
from random import Random

from tests.chaos.faults import FAULTS, Fault
from tests.chaos.keeper import STAGES
from tests.chaos.world import Database

A_JOB = (14, 20)
"""Bounds of how many faults one job meets."""

MOMENTS = {
    "starting": (0.10, 8.0),
    "searching": (0.10, 8.0),
    "training": (0.45, 4.0),
    "confirming": (0.12, 8.0),
    "measuring": (0.05, 3.0),
    "delivering": (0.08, 1.5),
    "registering": (0.10, 5.0),
}
"""For each stage its share of the faults, and the seconds within which one comes."""


WITH_WORKERS = ("searching", "training", "confirming")
"""Stages in which there are workers."""


@dataclass(frozen=True)
class Planned:
    """A fault at its moment: so long after a stage was reached, or after the fault before it."""

    fault: Fault
    stage: str
    delay_s: float
    held_s: float
    seed: int
    """Of what the fault itself chooses."""


def database_of(seed: int) -> Database:
    """Return the database of a job: the two take turns."""
    return "sqlite" if seed % 2 == 0 else "postgresql"


def drawn(seed: int, database: Database, *, disk: bool) -> list[Planned]:
    """Return what the job of this seed meets, in order."""
    random = Random(f"gatetune-chaos-{seed}")  # noqa: S311 - not for secrets
    possible = [
        fault
        for fault in FAULTS.values()
        if (database == "postgresql" or fault.touches != "database")
        and (disk or fault.touches != "disk")
    ]
    weights = [fault.weight for fault in possible]
    faults = random.choices(possible, weights, k=random.randint(*A_JOB))
    return arranged([at_moment(one, stage_for(one, random), random) for one in faults], random)


def stage_for(fault: Fault, random: Random) -> str:
    """Return a random stage in which there is what the fault breaks."""
    stages = WITH_WORKERS if fault.touches == "worker" else tuple(MOMENTS)
    return random.choices(stages, [MOMENTS[stage][0] for stage in stages])[0]


def at_moment(fault: Fault, stage: str, random: Random) -> Planned:
    """Return a fault at a random moment of a stage."""
    return Planned(
        fault,
        stage,
        delay_s=random.uniform(0.2, MOMENTS[stage][1]),
        held_s=random.uniform(*fault.held_s),
        seed=random.getrandbits(32),
    )


def arranged(planned: list[Planned], random: Random) -> list[Planned]:
    """Return faults in the order of their stages; those of a start come after any other.

    The first start of a job has them, and every later one.
    """
    starting = [one for one in planned if one.stage == "starting"]
    rest = sorted(
        (one for one in planned if one.stage != "starting"), key=lambda p: [*STAGES].index(p.stage)
    )
    for one in starting:
        rest.insert(random.randint(0, len(rest)), one)
    return rest
