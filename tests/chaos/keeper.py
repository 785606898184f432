"""What a supervisor would do: start a job's driver, and another one where it has ended."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from search.database.store import Store, StoreError, undelivered
from search.database.tables import Job
from tests.chaos.world import World
from tests.processes import Process, processes, tree

DOCUMENT = Path(__file__).with_name("digits.yaml")

STAGES: dict[str, str | None] = {
    "starting": "",
    "searching": r"^\S+  searching",
    "training": None,
    "confirming": r"^\S+  confirming",
    "measuring": r"^\S+  measuring",
    "delivering": r"^\S+  delivering",
    "registering": r"^\S+  registering",
}
"""Stages of a driver in their order, and the line with which its log says that one began.

A search trains from its first epoch on, which is seen in the database."""

Say = Callable[[str], None]
"""Tells whoever watches what happens."""

UNPROVOKED = 3
"""Drivers in a row that may end without a fault before the job counts as stuck."""

RECOVERY_S = 20.0
"""How long a fault may have consequences after it was mended: servers need to start."""


class Stuck(Exception):  # noqa: N818 - a finding about the job, not an error of the harness
    """The job does not go on by itself; the message says what was seen."""


class Driver:
    """One process of `gatetune launch` or `gatetune resume`."""

    def __init__(self, world: World, number: int, arguments: list[str]) -> None:
        self.began = time.monotonic()
        self.log = world.folder / f"driver-{number:02d}.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "search", *arguments, "--json"],
                stdout=log,
                stderr=subprocess.STDOUT,
                env=world.environment,
                start_new_session=True,
                cwd=world.folder,
            )
        self.trained = False
        """Whether an epoch was seen in the database that this driver wrote."""
        self.stage = "starting"
        self.stage_began = self.began

    def look(self) -> None:
        """Learn from the log which stage the driver has reached."""
        text = self.log.read_text()
        reached = [
            s for s, line in STAGES.items() if line is not None and re.search(line, text, re.M)
        ]
        stage = "training" if reached[-1] == "searching" and self.trained else reached[-1]
        if stage != self.stage:
            self.stage, self.stage_began = stage, time.monotonic()

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def has_passed(self, stage: str) -> bool:
        """Whether it has reached a later stage."""
        self.look()
        return self.stage != stage

    def await_end(self, seconds: float) -> None:
        """Wait until it has ended, or so long."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)

    @property
    def tail(self) -> str:
        """The end of the log."""
        return "\n".join(self.log.read_text().splitlines()[-25:])

    @property
    def ending(self) -> str:
        """How it ended, for people."""
        code = self.process.returncode
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with code {code}"
        return how + (" and a traceback" if "Traceback" in self.log.read_text() else "")

    def family(self) -> list[Process]:
        """The driver's process and all that it started, itself first."""
        known = {process.pid: process for process in processes()}
        return [known[pid] for pid in tree(self.process.pid) if pid in known]

    def delivery(self) -> list[Process]:
        """Its delivery process."""
        return [p for p in self.family() if "-m search.tracking.courier" in p.title]

    def ray(self) -> list[Process]:
        """All processes of its Ray."""
        children = self.family()[1:]
        return [p for p in children if "/ray/" in p.title or p.title.startswith("ray::")]

    def workers(self) -> list[Process]:
        """Ray's processes that train, or are about to."""
        return [p for p in self.ray() if re.match(r"ray::(IDLE|\w*Train)", p.title)]

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the driver's own process."""
        self.process.send_signal(number)


class Keeper:
    """Keeps one job of a world running until it is finished."""

    def __init__(self, world: World, say: Say, settings: Sequence[str] = ()) -> None:
        self.world = world
        self.say = say
        self.settings = settings
        """What the job has other than its document, as KEY=VALUE."""
        self.store: Store | None = None
        self.drivers: list[Driver] = []
        self.job_id: str | None = None
        self.unprovoked = 0
        self.disturbed = time.monotonic()
        """When a fault came or went last."""

    @property
    def driver(self) -> Driver:
        """The newest driver."""
        return self.drivers[-1]

    def start(self) -> Driver:
        """Start a driver: of a new job where there is none yet, else one that goes on with it."""
        self.find_job()
        arguments = ["resume", self.job_id] if self.job_id else self.launch
        self.drivers.append(Driver(self.world, len(self.drivers), arguments))
        return self.driver

    @property
    def launch(self) -> list[str]:
        """The command of the first driver."""
        return ["launch", str(DOCUMENT), *(f"--set={setting}" for setting in self.settings)]

    def tend(self) -> None:
        """Start another driver where the last one has ended.

        Raises:
            Stuck: several ended, one after the other, without a fault.
        """
        if not self.driver.ended:
            self.driver.look()
            return
        self.say(f"driver {len(self.drivers)} ended, {self.driver.ending}")
        calm = self.driver.began > self.disturbed + RECOVERY_S
        self.unprovoked = self.unprovoked + 1 if calm else 0
        if self.unprovoked >= UNPROVOKED:
            raise Stuck(
                f"{UNPROVOKED} drivers in a row ended without a fault, the last one "
                f"{self.driver.ending}:\n{self.driver.tail}"
            )
        self.start()

    @property
    def finished(self) -> bool:
        """Whether the last driver has ended and left nothing to do, as `resume` sees it."""
        self.find_job()
        if not self.driver.ended or self.job_id is None:
            return False
        try:
            with self.open().session() as session:
                job = session.get_one(Job, self.job_id)
            done = job.status == "finished" and job.model is not None
            return done and not undelivered(self.open(), self.job_id)
        except StoreError:
            return False  # the database is away

    def lease_until(self) -> float:
        """When the job's lease runs out."""
        with self.open().session() as session:
            return session.get_one(Job, self.job_id).lease_until

    def ask(self, *command: str) -> Any:
        """Return what a command prints of the job."""
        assert self.job_id is not None
        done = subprocess.run(
            [sys.executable, "-m", "search", *command, self.job_id, "--json"],
            capture_output=True,
            text=True,
            check=False,
            env=self.world.environment,
        )
        try:
            return json.loads(done.stdout)
        except ValueError:
            raise Stuck(f"`gatetune {' '.join(command)}` says:\n{done.stderr}") from None

    def close(self) -> None:
        """End every driver, and the connections to the database."""
        for driver in self.drivers:
            driver.send(signal.SIGKILL)
            driver.process.wait()
        if self.store is not None:
            self.store.close()

    def open(self) -> Store:
        """The world's database, read only by the harness."""
        self.store = self.store or Store(self.world.database_url)
        return self.store

    def find_job(self) -> None:
        """Learn the id of the world's job, once it is written."""
        if self.job_id is not None or not Store.exists(self.world.database_url):
            return
        # The database is away, or its tables are being made.
        with suppress(SQLAlchemyError, StoreError), self.open().session() as session:
            self.job_id = session.scalar(select(Job.id))
