"""One job from its launch to its end, with faults on the way."""

import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from random import Random

from tests.chaos.diagnosis import examine_by_doctor
from tests.chaos.faults import Fault, NotNow, Scene
from tests.chaos.finding import Finding
from tests.chaos.invariant import examine, examine_processes
from tests.chaos.keeper import STAGES, Keeper, Say, Stuck
from tests.chaos.plan import Planned
from tests.chaos.witness import Witness
from tests.chaos.world import World

PATIENCE_S = 300.0
"""How long a job may go on after its last fault."""

WAIT_S = 15.0
"""How long a fault waits for what it breaks, before it is left out."""

POLL_S = 0.05

LOOK_S = 0.3
"""How often the database is read."""


@dataclass
class Active:
    """A fault that lasts."""

    fault: Fault
    block: AbstractContextManager[None]
    until: float

    def mend(self) -> None:
        self.block.__exit__(None, None, None)


@dataclass
class Ordeal:
    """A job in a world, and what it has to go through."""

    world: World
    planned: list[Planned]
    say: Say
    settings: Sequence[str] = ()
    """What the job has other than the document, as KEY=VALUE."""
    injected: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    active: list[Active] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.keeper = Keeper(self.world, self.say, self.settings)
        self.witness = Witness()
        self.scene = Scene(self.world, self.keeper, Random(0))  # noqa: S311 - not for secrets
        self.left = list(self.planned)
        self.last = time.monotonic()
        self.next_look = 0.0
        self.missing_since: float | None = None
        """Since when what the next fault breaks has not been there."""

    def run(self) -> None:
        """Run the job to its end and examine what is left."""
        self.world.start()
        self.world.tracking.await_answer()
        self.keeper.start()
        try:
            while not self.keeper.finished:
                self.round()
            self.say(f"finished after {len(self.keeper.drivers)} drivers")
            self.mend_all()
            self.world.tracking.await_answer()
            self.findings += examine(self.world, self.keeper, self.witness)
            self.findings += examine_by_doctor(self.keeper)
            self.findings += examine_processes(self.world)
        except (Stuck, TimeoutError) as stuck:
            self.findings.append(Finding("other", f"the job was not finished: {stuck}"))
        finally:
            self.mend_all()
        self.findings += [Finding("other", complaint) for complaint in self.scene.complaints]
        for finding in self.findings:
            self.say(f"{finding.kind}: {finding.message}")

    def close(self) -> None:
        """End all that runs; what there is to look at is kept where something was found."""
        self.keeper.close()
        self.world.close(keep=bool(self.findings))

    def round(self) -> None:
        """Look at everything once."""
        for one in [one for one in self.active if time.monotonic() >= one.until]:
            self.mend(one)
        if all(one.fault.resumable for one in self.active):
            self.keeper.tend()
        if time.monotonic() > self.next_look:
            self.look()
        if self.left:
            self.strike(self.left[0])
        if time.monotonic() - self.last > PATIENCE_S:
            raise Stuck(f"{PATIENCE_S:.0f} s after the last fault:\n{self.keeper.driver.tail}")
        time.sleep(POLL_S)

    def strike(self, planned: Planned) -> None:
        """Inject a fault if its moment has come."""
        fault, driver, now = planned.fault, self.keeper.driver, time.monotonic()
        stages = [*STAGES]
        if driver.ended or stages.index(driver.stage) < stages.index(planned.stage):
            return
        if now < max(driver.stage_began, self.last) + planned.delay_s:
            return
        if any(one.fault.touches == fault.touches for one in self.active):
            return
        if fault.alone:
            self.mend_all()
        self.look()
        self.inject(planned)

    def look(self) -> None:
        """See what the study has acknowledged by now."""
        self.next_look = time.monotonic() + LOOK_S
        self.keeper.find_job()
        if self.keeper.job_id is None:
            return
        known = len(self.witness.epochs)
        self.witness.look(self.keeper.open())
        driver = self.keeper.driver
        if driver.stage == "searching" and len(self.witness.epochs) > known:
            driver.trained = True

    def inject(self, planned: Planned) -> None:
        """Inject a fault, or leave it out where there is nothing to break for long."""
        fault = planned.fault
        self.scene.random.seed(planned.seed)
        block = fault.block(self.scene)
        where = self.where()
        try:
            block.__enter__()
        except NotNow as why:
            self.missing_since = self.missing_since or time.monotonic()
            if time.monotonic() - self.missing_since > WAIT_S:
                self.say(f"left out: {fault.name}, {why}")
                self.next()
            return
        self.next()
        self.injected[fault.name] += 1
        held = f" for {planned.held_s:.1f} s" if planned.held_s else ""
        self.say(f"{fault.name}{held}, {where}")
        self.last = self.keeper.disturbed = time.monotonic()
        self.active.append(Active(fault, block, self.last + planned.held_s))

    def next(self) -> None:
        """Go on to the next fault."""
        self.left.pop(0)
        self.missing_since = None

    def where(self) -> str:
        """Return how far the job is."""
        epochs, ended = len(self.witness.epochs), len(self.witness.ended)
        number = len(self.keeper.drivers)
        return f"driver {number} {self.keeper.driver.stage}, {ended} trials, {epochs} epochs"

    def mend(self, one: Active) -> None:
        """End a fault."""
        self.active.remove(one)
        one.mend()
        self.keeper.disturbed = time.monotonic()

    def mend_all(self) -> None:
        """End all faults."""
        for one in list(self.active):
            self.mend(one)
