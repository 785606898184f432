"""`make chaos`: jobs that meet random faults, one after the other, until there were enough."""

import argparse
import secrets
import signal
import sys
import time
from itertools import count

from rich.console import Console

from tests.chaos.ordeal import Ordeal
from tests.chaos.plan import database_of, drawn
from tests.chaos.report import Outcome, report
from tests.chaos.world import Database, World


def arguments() -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, help="of everything that is random; printed")
    parser.add_argument("--faults", type=int, default=100, help="how many to inject")
    parser.add_argument(
        "--database", choices=["sqlite", "postgresql"], help="both in turn by default"
    )
    return parser.parse_args()


def one_job(console: Console, seed: int, database: Database, most: int) -> Outcome:
    """Run the job of a seed through at most so many of its faults."""
    began = time.monotonic()

    def say(what: str) -> None:
        console.print(f"{time.monotonic() - began:6.1f} s  {what}", highlight=False, markup=False)

    world = World(database)
    planned = drawn(seed, database, disk=world.disk_is_small)[:most]
    console.print(f"job of seed {seed} on {database}: {len(planned)} faults", highlight=False)
    ordeal = Ordeal(world, planned, say)
    try:
        ordeal.run()
    finally:
        ordeal.close()
    return Outcome(seed, database, len(planned), ordeal.injected, ordeal.findings, world.folder)


def main() -> int:
    """Run jobs; 1 if anything was lost, doubled, orphaned, missing or repaired."""
    given = arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that servers and mounts go too
    seed = secrets.randbelow(1_000_000) if given.seed is None else given.seed
    console = Console(width=max(Console().width, 112))  # of the table
    console.print(f"seed {seed}: {given.faults} faults", highlight=False)
    began = time.monotonic()
    outcomes: list[Outcome] = []
    for number in count(seed):
        left = given.faults - sum(outcome.injected.total() for outcome in outcomes)
        if left <= 0:
            break
        outcomes.append(one_job(console, number, given.database or database_of(number), left))
    report(console, outcomes, seed, time.monotonic() - began)
    return 1 if any(outcome.findings for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
