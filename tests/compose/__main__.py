"""`make compose-test`: a team's installation in containers, whose parts are killed in mid-job."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.table import Table

from tests.compose.client import Client, until
from tests.compose.containers import Containers

DOCUMENT = """
name: {name}
data: {{source: {source}}}
space:
  cell: [lstm, gru]
  hidden_size: {{low: 8, high: 32, step: 8}}
  learning_rate: {{low: 1.0e-3, high: 3.0e-2, log: true}}
training: {{epochs: 8, layers: 1, batch_size: 16}}
pruner: none
budget: {{trials: 30}}
confirm: {{top: 1, seeds: 2}}
seed: {seed}
"""

WORKERS = 2
RECOVERY_S = 300.0
JOINED = "This command will now block"
JOIN_S = 30.0
"""How soon a worker that joins has to be used."""


class Steps:
    """What was done, how long it took, and what was seen."""

    def __init__(self) -> None:
        self.console = Console(width=100)
        self.table = Table("step", "seconds", "seen", box=None, pad_edge=False)

    @contextmanager
    def step(self, name: str) -> Iterator[list[str]]:
        """Time a step; what is put into the list was seen in it."""
        self.console.print(f"{time.strftime('%H:%M:%S')}  {name}", highlight=False)
        began, seen = time.monotonic(), list[str]()
        yield seen
        self.table.add_row(name, f"{time.monotonic() - began:.0f}", "; ".join(seen))


def main() -> int:
    """Do it all; 0 if every step went as it must."""
    steps, containers = Steps(), Containers("gatetune-compose-test")
    began = time.monotonic()
    try:
        exercise(steps, containers)
    except BaseException:
        steps.console.print(containers.last_words(), markup=False, highlight=False)
        raise
    finally:
        with steps.step("take all down") as seen:
            containers.down()
            left = containers.left()
            seen.append("nothing left" if not left else f"left: {left}")
        steps.console.print(steps.table)
        steps.console.print(f"{(time.monotonic() - began) / 60:.1f} min in all", highlight=False)
    return 1 if left else 0


def exercise(steps: Steps, containers: Containers) -> None:
    """Launch, break, and look at what became of it."""
    with steps.step("build the image"):
        containers.compose("build", "--quiet")
    with steps.step(f"start with {WORKERS} workers"):
        containers.up(WORKERS)
    client = Client(containers)
    with steps.step("launch three jobs at once, one of an uploaded file") as seen:
        sources = ["digits", client.upload_digits(), "digits"]
        jobs = client.launch(
            [
                DOCUMENT.format(name=f"c{seed}", seed=seed, source=source)
                for seed, source in enumerate(sources)
            ]
        )
        seen.append(", ".join(jobs))
    for job in jobs:
        client.listen(job)
    with steps.step("wait until they train") as seen:
        client.await_epochs(jobs, at_least=24, patience_s=RECOVERY_S)
        seen.append(f"{sum(client.epochs(job) for job in jobs)} epochs read as events")
    with steps.step("kill a worker"):
        containers.kill("ray-worker", 1)
    with steps.step("kill the service"):
        containers.kill("gatetune", 1)
    with steps.step("restart PostgreSQL"):
        containers.compose("restart", "postgres")
    with steps.step("start what was killed") as seen:
        joined = time.monotonic()
        containers.up(WORKERS)
        seen.append(f"in {time.monotonic() - joined:.0f} s")
    with steps.step("a worker joins") as seen:
        containers.up(WORKERS + 1)
        number = WORKERS + 1
        until(lambda: containers.has_said("ray-worker", number, JOINED), 120, "no third worker")
        began = time.monotonic()
        client.await_worker(containers.name_inside("ray-worker", WORKERS + 1), JOIN_S)
        seen.append(f"its first trial ended {time.monotonic() - began:.0f} s after it had started")
    with steps.step("wait until all have finished") as seen:
        seen.extend(client.await_finished(jobs, patience_s=RECOVERY_S))
    with steps.step("doctor") as seen:
        seen.extend(client.examine(jobs))
    with steps.step("trials and their workers") as seen:
        seen.extend(client.check_trials(jobs, budget=30))
    with steps.step("events") as seen:
        seen.extend(client.check_events(jobs))
    with steps.step("load the champion from MLflow") as seen:
        seen.append(client.predict("c0"))


if __name__ == "__main__":
    sys.exit(main())
