"""Ray Tune over studies: Tune places trials on workers, the study decides everything else."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from search.common.background import Errands
from search.common.signals import Interrupted
from search.common.texts import last_line
from search.common.trial import LiveTrial, Loss, Verdict, loss_of
from search.database.lease import LeaseLostError
from search.database.storage import DATABASE_AWAY
from search.document.spec import JobSpec
from search.driver.cluster import node_resources, slots, uncounted
from search.driver.observer import Observer
from search.driver.packing import Packing
from search.driver.shares import whole
from search.driver.stage import TIDYING, Stage
from search.driver.tuning import Silence, StudyScheduler, StudySearcher, StudyStopper, actor_of
from search.driver.watch import Watch
from search.study.study import JobStudy
from trainables.folder import FolderError

TRIALS_A_FIT = 1000
"""Trials after which Tune is started afresh on the same study: what it keeps is gone then."""

ROUNDS_A_FIT = 50
"""Trials that every worker has before that, where they are many: all of them are started anew."""

MOST_A_FIT = 4000
"""But after so many in any case."""

RAMP_S = 1.0
"""How long running trials must last before another worker is started beside them. Tune gives a
worker that becomes free to a trial that waits for a new one, and kills the new one on its way: for
trials shorter than a worker's start that would go on for ever."""

POLL_S = 0.25
"""How often the loop looks at the cluster's size and at the outside world."""


class UnworkableError(RuntimeError):
    """Going on would only fail trials; the message says what to mend. Nothing is lost."""


class Engine:
    """Runs every trial of one study after another, on workers that are used again.

    Args:
        stages: at least one; each is asked for when the one before it is done.
        trainable: the Tune class that trains; its contract is that of `RecurrentTrial`.
        data: handed to the trainable's `setup`, through Ray's object store once a fit.
        packing: what each trial gets of its node.
        scratch: folder for what Tune writes and nobody reads; removed in the end.
        observer: told about every event.
        should_stop: asked a few times a second; may raise to end the job.
        elapsed_s: seconds that the job has run, for `budget.hours`.
        share: how many trials may run at once, of what fits, is wanted and is running.
    """

    def __init__(  # noqa: PLR0913 - each is an independent part of the run
        self,
        stages: Iterator[Stage],
        *,
        trainable: type[tune.Trainable],
        data: Any,
        packing: Packing,
        scratch: Path,
        observer: Observer,
        should_stop: Callable[[], bool],
        elapsed_s: Callable[[], float],
        share: Callable[[int, int, int], int] = whole,
    ) -> None:
        self.stages = stages
        self.stage = next(stages)
        self.spec: JobSpec = self.study.spec
        self.trainable = trainable
        self.data = data
        self.packing = packing
        self.each = packing.given
        """What each trial of the fit at hand gets."""
        self.scratch = scratch
        self.observer = observer
        self.should_stop = should_stop
        self.elapsed_s = elapsed_s
        self.share = share
        self.numbers: dict[str, int] = {}
        self.placed: dict[int, Trial] = {}
        self.asked = 0
        self.most = TRIALS_A_FIT
        """Trials of the fit at hand."""
        self.slots = 1
        self.told_room: tuple[int, float] | None = None
        """What the observer knows of them, and how many GPUs each has."""
        self.workers: set[tuple[str, int]] = set()
        """Machine and process of the workers that have reported in this fit."""
        self.started: dict[int, float] = {}
        """When each live trial was started."""
        self.watch = Watch(self.spec.workers.epoch_limit_s)
        self.next_poll = 0.0
        self.stuck = False
        """Whether trials of the fit at hand wait for what no node has any more, and none runs."""
        self.stopping = False
        self.fault: BaseException | None = None
        self.errands = Errands(TIDYING)

    def __getstate__(self) -> dict[str, Any]:
        """Pickle as nothing: Tune snapshots what it is given, and the snapshot is never read."""
        return {}

    @property
    def study(self) -> JobStudy:
        """The study at hand."""
        return self.stage.study

    def run(self) -> None:
        """Run until every study is done.

        Raises:
            Interrupted: `should_stop` said so; what ran waits in the study.
            UnworkableError: the disk is full, trial after trial fails, or a trial is to begin in a
                precision that the machine cannot compute in.
            FolderError: the checkpoints' store cannot be used; what ran waits in the study.
            LeaseLostError: another driver owns the job.
        """
        with closing(self.errands):
            self.stage.sweep()
            self.poll()
            while not self.study.done or self.advance():
                self.await_room()
                self.halt_if_needed()
                if self.study.done:  # its hours are over before there was room
                    continue
                try:
                    with uncounted():
                        self.fit()
                except Exception as error:
                    self.guard(error)
                self.halt_if_needed()
                self.requeue_all()
            while not self.errands.settle(POLL_S):
                self.poll()
                self.halt_if_needed()

    def await_room(self) -> None:
        """Wait until other jobs leave room for a trial: until then Tune need not be started."""
        while self.slots < 1 and not self.halted and not self.study.done:
            time.sleep(POLL_S)
            self.poll()

    def advance(self) -> bool:
        """Go on with the next study, of which nothing runs yet; return whether there is one."""
        stage = next(self.stages, None)
        if stage is None:
            return False
        self.stage = stage
        self.stage.sweep()
        self.forget_all()
        self.told_room = None
        self.next_poll = 0.0
        self.poll()
        return True

    def halt_if_needed(self) -> None:
        """End the run if a callback failed or a stop was asked for."""
        if self.fault is not None:
            # Where the database went away, what is known here may be out of date.
            if not isinstance(self.fault, (LeaseLostError, *DATABASE_AWAY)):
                self.requeue_all()
            raise self.fault
        if self.stopping:
            self.requeue_all()
            raise Interrupted

    def requeue_all(self) -> None:
        """Put every running trial back into the study; what Tune made of them is gone."""
        for number in list(self.study.live):
            self.study.requeue(number)
        self.forget_all()

    def forget_all(self) -> None:
        """Forget the trials of a fit, or of a study, that has ended."""
        self.numbers.clear()
        self.placed.clear()
        self.stuck = False

    def fit(self) -> None:
        """Let Tune run a thousand trials or more."""
        self.asked = 0
        self.most = min(MOST_A_FIT, max(TRIALS_A_FIT, ROUNDS_A_FIT * self.slots))
        self.workers.clear()
        self.each = self.packing.workers(node_resources())
        os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(max(self.slots, 16))
        trainable = tune.with_resources(
            tune.with_parameters(self.trainable, data=self.data),
            {"CPU": self.each.cpus, "GPU": self.each.sure_gpus},
        )
        shutil.rmtree(self.scratch, ignore_errors=True)  # of a driver that was killed
        self.scratch.mkdir(parents=True)
        try:
            tune.Tuner(
                trainable,
                tune_config=tune.TuneConfig(
                    search_alg=StudySearcher(self),
                    scheduler=StudyScheduler(self),
                    num_samples=-1,
                    reuse_actors=True,
                    trial_name_creator=lambda trial: trial.trial_id,
                    trial_dirname_creator=lambda trial: trial.trial_id,
                ),
                run_config=tune.RunConfig(
                    name="tune",
                    storage_path=str(self.scratch),
                    stop=StudyStopper(self),
                    callbacks=[Silence()],
                    verbose=0,
                    failure_config=tune.FailureConfig(max_failures=0),
                    checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                ),
            ).fit()
        finally:
            shutil.rmtree(self.scratch, ignore_errors=True)

    # -- what Tune's callbacks do --------------------------------------------------------------

    def suggest(self, ray_id: str) -> dict[str, Any] | str | None:
        """Return the configuration of the next trial, None for not yet, or FINISHED."""
        # While nothing runs and there is no room Tune asks again and again, and does nothing else:
        # only here it would be noticed that there is room, or a stop.
        self.poll()
        keeps = self.stage.keeps_workers  # without them the next study has a fit of its own
        if self.halted or (self.study.done and not (keeps and self.advance())):
            return Searcher.FINISHED
        if self.asked >= self.most:
            return None if self.study.live else Searcher.FINISHED
        if not self.has_room():
            return None
        live = self.study.ask()
        if live is None:
            return self.suggest(ray_id) if self.study.done else None
        self.asked += 1
        self.numbers[ray_id] = live.number
        self.started[live.number] = time.monotonic()
        self.watch.hear(live.number)
        self.observer.asked(live)
        return self.config(live)

    def has_room(self) -> bool:
        """Whether another trial may start: on a worker that is free, or on one worth starting."""
        live = len(self.study.live)
        if live >= self.slots:
            return False
        if not self.workers or live < len(self.workers):
            return True
        now = time.monotonic()
        return all(now - self.started[number] >= RAMP_S for number in self.study.live)

    def config(self, live: LiveTrial) -> dict[str, Any]:
        """Return what the worker needs to train a trial."""
        return {
            "number": live.number,
            "parameters": live.settings(),
            "seed": live.seed,
            "acknowledged": live.acknowledged,
            "checkpoints": self.stage.folder(live.number).place,
            "metric": self.spec.objective.metric,
            "direction": self.spec.objective.direction,
            "target": self.spec.budget.target if self.study.searching else None,
            "cpus": self.spec.workers.cpus,
            "gpus": self.each.sure_gpus,
            "epoch_limit_s": self.spec.workers.epoch_limit_s,
            "costs": self.spec.objective.counts_costs,
        }

    def report(self, ray_id: str, result: dict[str, Any]) -> str:
        """Commit an epoch and return Tune's word for what follows."""
        number = self.numbers[ray_id]
        live = self.study.live[number]
        self.workers.add((result["hostname"], result["pid"]))
        live.worker = result["hostname"]
        live.precision = live.precision or result["precision"]
        live.machine = live.machine or result["machine"]
        self.watch.hear(number)
        for what in result["damaged"]:
            self.study.note_damage(number, what)
            self.observer.damaged(live, what)
        metrics = {
            key.removeprefix("metrics/"): float(value)
            for key, value in result.items()
            if key.startswith("metrics/")
        }
        # An epoch of an earlier attempt may have been trained on a GPU, and this worker have none.
        if "memory_mb" in metrics and result["device_mb"] is not None:
            self.packing.learn(live.config, metrics["memory_mb"], result["device_mb"])
        verdict = self.study.report(number, result["epoch"], metrics, result["outcome"])
        self.observer.reported(live, metrics, verdict)
        if verdict is Verdict.CONTINUE:
            return str(TrialScheduler.CONTINUE)
        self.forget(number)
        self.errands.run(self.stage.tidying(number, verdict))
        return str(TrialScheduler.STOP)

    def lose(self, ray_id: str, reason: str) -> None:
        """Count a failed attempt of a trial, unless that was done already."""
        number = self.numbers.get(ray_id)
        if number is None or number not in self.study.live:
            return
        live = self.study.live[number]
        reason = self.watch.told(number, reason)
        self.forget(number)
        self.workers.clear()  # one of them is gone; those that live will report
        again = self.study.fail(number, reason)
        if not again:
            self.errands.run(self.stage.tidying(number, None))
        self.observer.lost(live, reason, again=again)
        loss = loss_of(reason)
        if loss is Loss.DISK:
            raise UnworkableError(
                f"the disk of {self.stage.checkpoints} is full; no trial is lost: make room, and "
                "resume"
            )
        if loss is Loss.STORE:
            raise FolderError(last_line(reason).rpartition("FolderError: ")[2])
        if loss is Loss.PRECISION and not live.acknowledged:
            raise UnworkableError(last_line(reason).rpartition("PrecisionError: ")[2])
        if self.study.is_failing:
            raise UnworkableError(
                f"{self.study.failures} trials in a row failed without finishing an epoch, the "
                f"last one (trial {number}) with: {last_line(reason)}"
            )

    def forget(self, number: int) -> None:
        """Forget an attempt at a trial that has ended."""
        self.watch.forget(number)
        for known in (self.placed, self.started):
            known.pop(number, None)

    @property
    def halted(self) -> bool:
        """Whether Tune should end although the study is not done."""
        return self.stopping or self.stuck or self.fault is not None

    def poll(self) -> None:
        """Look at the cluster, the clock and the person, a few times a second."""
        now = time.monotonic()
        if now < self.next_poll:
            return
        self.next_poll = now + POLL_S
        self.errands.settle(0)
        nodes = node_resources()
        each = self.packing.workers(nodes)
        if each != self.each:
            self.most = self.asked  # the next fit gives each trial what it is to have now
            self.stuck = bool(self.placed) and not any(map(actor_of, self.placed.values()))
        fit = slots(nodes, each)
        left = max(1, self.study.left)
        asked = self.spec.workers.concurrent
        # What waits for its place was drawn before it could learn of what runs.
        most = fit if asked == "auto" else min(asked, fit)
        self.slots = self.share(fit, max(1, min(most, left)), len(self.study.live))
        if self.workers and left <= self.slots:
            self.stage.when_last()
        self.study.slots = self.slots
        self.tell_room(left, each.sure_gpus)
        self.stopping = self.stopping or self.should_stop()
        hours = self.spec.budget.hours if self.study.searching else None
        # What has run to its end was not ended by the hours that its end took.
        if hours is not None and self.elapsed_s() >= hours * 3600 and not self.study.done:
            self.study.close("hours")
        self.watch.end_frozen(self.placed, now)
        # Tune sets a trial to ERROR without telling anyone when a worker cannot be reset.
        for trial in list(self.placed.values()):
            if trial.status == Trial.ERROR:
                self.lose(trial.trial_id, "Ray could not reset the worker for this trial")

    def tell_room(self, left: int, gpus: float) -> None:
        """Tell the observer of more or fewer slots, but not of those that want for trials."""
        slots, known_gpus = self.told_room or (0, -1.0)
        if gpus != known_gpus or (self.slots != slots and not self.slots == left < slots):
            self.told_room = (self.slots, gpus)
            self.observer.room(self.slots, gpus)

    def guard(self, error: BaseException) -> None:
        """Keep a callback's error for the end of the run: Tune would log and forget it."""
        self.fault = self.fault or error
