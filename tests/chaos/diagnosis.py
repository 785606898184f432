"""What `gatetune doctor` says of a finished job, and whether it can mend it."""

from collections.abc import Iterator

from tests.chaos.finding import Finding
from tests.chaos.keeper import Keeper


def examine_by_doctor(keeper: Keeper) -> Iterator[Finding]:
    """Yield what `doctor` finds; what it mends counts as repaired by hand."""
    if keeper.ask("doctor")["agree"]:
        return
    for job in keeper.ask("doctor", "--repair")["jobs"]:
        for found in job["findings"]:
            what = f"doctor: {found['kind']} {found['subject']}: {found['message']}"
            yield Finding("repaired" if found["repaired"] else "other", what)
    if not keeper.ask("doctor")["agree"]:
        yield Finding("other", "`doctor --repair` did not mend the job")
