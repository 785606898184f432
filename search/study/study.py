"""The one truth of a job: which trials exist, what they reported and how they ended."""

import math
from collections.abc import Sequence
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from search.common.labels import run_name
from search.common.trial import (
    ATTEMPTS,
    MLFLOW_STATUS,
    LiveTrial,
    Loss,
    Proposal,
    Verdict,
    loss_of,
    state_of,
)
from search.database.lease import Lease
from search.database.outbox import Outbox, epochs_of, read_epoch
from search.database.storage import FencedStorage, Statement, ensure_study
from search.database.store import Store
from search.database.tables import JournalRow
from search.document.seeding import derive_seed
from search.document.spec import JobSpec
from search.study.judge import SPENT, Judge
from search.study.leaders import Leaders
from search.study.mirror import Mirror
from search.study.rungs import Rungs
from search.study.warming import Taken
from trainables.metrics import COSTS

FAILURES = 5
"""Failed trials in a row, none with an epoch, after which a job stops: its fault is not theirs."""


class JobStudy:
    """One study of a job in the hands of its driver.

    Not thread-safe: one thread of one driver calls it. Every method that writes raises
    `LeaseLostError` once another driver owns the job, and then nothing was written.

    Args:
        store: the database.
        lease: the driver's ownership of the job.
        spec: the job document.
        name: the study's name: the job's id, or `JOB/confirm`.
        fixed: trials that come first, in this order.
        trials: how many trials there shall be; drawn by the sampler after the fixed ones.
        searching: whether pruner, target and hours may end trials; replicates run to their end.
        taken: what the job has taken over from earlier ones; None where it was not asked to.
    """

    def __init__(  # noqa: PLR0913 - each is an independent fact about the study
        self,
        store: Store,
        lease: Lease,
        spec: JobSpec,
        *,
        name: str,
        fixed: Sequence[Proposal],
        trials: int,
        searching: bool,
        taken: Taken | None = None,
    ) -> None:
        self.spec = spec
        self.name = name
        self.fixed = fixed
        self.trials = trials
        self.searching = searching
        self.storage = FencedStorage(store, lease)
        self.outbox = Outbox(self.storage, name, lease.job_id)
        self.study_id = ensure_study(self.storage.optuna, name, spec.objective.direction)
        self.mirror = Mirror(spec, taken)
        self.rungs = Rungs(spec)
        self.judge = Judge(spec, self.rungs, searching=searching)
        self.sign = self.judge.sign
        self.sampler_attrs: dict[str, Any] = {}
        """What samplers remember in the study itself, as the database has it."""
        self.live: dict[int, LiveTrial] = {}
        self.waiting: list[LiveTrial] = []
        self.ended: dict[int, str] = {}
        self.count = 0
        self.best: tuple[int, float] | None = None
        # Of several objectives it shows at the end who is on the front.
        most = spec.budget.trials if spec.objective.beside else max(1, spec.confirm.top)
        self.leaders = Leaders(most)
        """Complete trials whose weights are kept; replicates are not among them."""
        self.slots = 1
        """How many trials run at once."""
        self.failures = 0
        """Trials that failed since one last reported an epoch to this driver."""
        self.losses = 0
        """Attempts that were lost since then."""
        self.closed: str | None = None
        """Why no further trial will start although the budget of trials is not spent."""
        self.reached = False
        """Whether a trial has the target that may be chosen."""
        self.load(store)

    # -- reading back --------------------------------------------------------------------------

    def load(self, store: Store) -> None:
        """Rebuild what this object knows from the database, and requeue what was running.

        A trial whose last epoch ended it, but whose end was not written, is ended now.
        """
        storage = self.storage.optuna
        self.sampler_attrs = dict(storage.get_study_system_attrs(self.study_id))
        self.mirror.restore_attrs(self.sampler_attrs)
        journal = epochs_of(store, self.name)
        trials = storage.get_all_trials(self.study_id)
        last = {t.number: self.load_trial(t, journal.get(t.number, [])) for t in trials}
        running = {t.number for t in trials if t.state is TrialState.RUNNING}
        # Only now is it known how many have ended before, and which was the best of them.
        for number in sorted(self.live):
            if last[number] is not Verdict.CONTINUE:
                self.end(self.live[number], last[number])
            elif number in running:
                self.requeue(number)
            else:
                self.waiting.append(self.live.pop(number))
        self.waiting.sort(key=lambda live: live.number)
        if self.reached:
            self.close("target")

    def load_trial(self, trial: FrozenTrial, epochs: Sequence[JournalRow]) -> Verdict:
        """Take one trial into the mirror, the rungs and the counts; return its last verdict."""
        live = LiveTrial.of(trial, self.spec.config_of(trial))
        self.count += 1
        state, finished = trial.state, trial.state.is_finished()
        open_trial = (
            self.mirror.ended(trial)
            if finished
            else self.mirror.frozen(trial.params, **trial.user_attrs)
        )
        open_trial.system_attrs = {**trial.system_attrs, **open_trial.system_attrs}
        if not finished:
            open_trial.intermediate_values = dict(trial.intermediate_values)
        self.mirror.add(trial.number, open_trial, live.config.model_dump_json())
        self.rungs.add(trial.number, live.config)
        verdict = Verdict.CONTINUE
        for row in epochs:
            metrics, verdict, memory = read_epoch(row)
            value = metrics.get(self.spec.objective.metric, math.nan)
            self.rungs.replay(trial.number, row.epoch, value, memory)
            self.note(live, row.epoch, value)
        if finished:
            self.rungs.finish(trial.number, state, trial.value)
            self.count_end(live, state_of(trial))
        else:
            self.live[trial.number] = live
        return verdict

    # -- asking --------------------------------------------------------------------------------

    @property
    def done(self) -> bool:
        """Whether nothing is left to run."""
        return not self.live and not self.waiting and (self.count >= self.trials or self.is_closed)

    @property
    def is_closed(self) -> bool:
        """Whether no further trial will start."""
        return self.closed is not None

    @property
    def is_spent(self) -> bool:
        """Whether the trials that run end with their next epoch, too."""
        return self.closed in SPENT

    @property
    def left(self) -> int:
        """How many trials have not ended, or are still to start."""
        fresh = 0 if self.is_closed else max(0, self.trials - self.count)
        return len(self.live) + len(self.waiting) + fresh

    @property
    def has_alone(self) -> bool:
        """Whether a trial runs, or waits to run, that must have the machine for itself."""
        return any(live.alone for live in (*self.live.values(), *self.waiting))

    def ask(self) -> LiveTrial | None:
        """Return the next trial to train, or None while there is none.

        Requeued trials come first, then the fixed ones, then fresh ones from the sampler, and at
        last, one at a time, those that must run alone. While every attempt is lost nothing fresh
        starts, so that it shows early whether anything can be trained at all.
        """
        if any(live.alone for live in self.live.values()):
            return None
        waiting = next((live for live in self.waiting if not live.alone), None)
        hopeful = not self.waiting or self.losses < FAILURES * (ATTEMPTS - 1)
        trial = self.take(waiting) if waiting else self.ask_new() if hopeful else None
        if trial is None and self.waiting and not self.live:
            return self.take(self.waiting[0])
        return trial

    def ask_new(self) -> LiveTrial | None:
        """Return a trial that did not exist before, or None where the budget is spent."""
        if self.is_closed or self.count >= self.trials:
            return None
        number = self.count
        if number < len(self.fixed):
            trial = self.propose(number, self.fixed[number])
        else:
            drawn = self.mirror.next(number, left=self.trials - number, slots=self.slots)
            if drawn is None:
                self.close("exhausted")
                return None
            trial = drawn
            trial.user_attrs = {"seed": derive_seed(self.spec.seed, "trial", number)}
        return self.write(number, trial)

    def take(self, live: LiveTrial) -> LiveTrial:
        """Set a requeued trial running again."""
        self.storage.commit(
            self.storage.state(live.trial_id, TrialState.RUNNING),
            self.outbox.status(live, "RUNNING"),
        )
        self.waiting.remove(live)
        self.live[live.number] = live
        return live

    def propose(self, number: int, proposal: Proposal) -> FrozenTrial:
        """Return a fixed trial, and let the mirror know it."""
        seed = proposal.seed
        trial = self.mirror.frozen(
            proposal.parameters,
            seed=derive_seed(self.spec.seed, "trial", number) if seed is None else seed,
            **({"overrides": proposal.overrides} if proposal.overrides else {}),
            **proposal.attrs,
        )
        identity = self.mirror.identity(proposal.parameters, proposal.overrides)
        self.mirror.add(number, trial, identity)
        return trial

    def write(self, number: int, trial: FrozenTrial) -> LiveTrial:
        """Write a new trial whole, in one transaction with its MLflow run's row."""
        trial.number = number
        live = LiveTrial.of(trial, self.spec.config_of(trial))
        name = run_name(number, live.config, trial.user_attrs)
        run = self.outbox.new_run(number, name, live.config.model_dump() | {"seed": live.seed})
        live.trial_id = self.storage.create(self.study_id, trial, run)
        for key, value in self.mirror.attrs().items():
            if self.sampler_attrs.get(key) != value:
                self.storage.optuna.set_study_system_attr(self.study_id, key, value)
                self.sampler_attrs[key] = value
        self.rungs.add(number, live.config)
        self.live[number] = live
        self.count += 1
        return live

    # -- reporting -----------------------------------------------------------------------------

    def report(self, number: int, epoch: int, metrics: dict[str, float], outcome: str) -> Verdict:
        """Commit one epoch and return what follows from it.

        Epoch, MLflow row and verdict are one transaction, with the trial's precision and machine
        where it is the first, with its worker where that is another, and with its end where it is
        the last. An epoch that was committed before is not committed again; the trial just goes on.

        Args:
            number: the trial.
            epoch: counted from 1.
            metrics: the epoch's metrics by name.
            outcome: the worker's word: running, complete or diverged.
        """
        live = self.live[number]
        if epoch <= live.acknowledged:
            return Verdict.CONTINUE
        diverged = outcome == "diverged"
        value = math.nan if diverged else metrics[self.spec.objective.metric]
        if not live.acknowledged:
            live.costs = {name: metrics[name] for name in COSTS if name in metrics} or None
        verdict = self.judge.verdict(live, epoch, value, outcome, self.closed)
        memory = self.rungs.memory(number)
        row = self.outbox.epoch(number, epoch, metrics, verdict=verdict.value, pruner=memory)
        statements = [row, self.storage.value(live.trial_id, epoch, value)]
        if not live.acknowledged:
            statements += [
                self.storage.attribute(live.trial_id, *one) for one in live.origin().items()
            ]
        if verdict is not Verdict.CONTINUE:
            statements += self.ending(live, verdict, self.judge.best(live.best, value))
        elif live.worker != live.shown_on:
            statements.append(self.outbox.status(live, "RUNNING"))
            live.shown_on = live.worker
        self.storage.commit(*statements)
        self.mirror.report(number, epoch, value)
        self.note(live, epoch, value)
        self.failures = self.losses = 0
        if verdict is not Verdict.CONTINUE:
            self.ended_with(live, verdict)
        return verdict

    def note(self, live: LiveTrial, epoch: int, value: float) -> None:
        """Remember an acknowledged epoch."""
        live.acknowledged = epoch
        live.best = self.judge.best(live.best, value)

    # -- ending --------------------------------------------------------------------------------

    def end(self, live: LiveTrial, verdict: Verdict) -> None:
        """Tell the study how a trial ended whose last epoch it knows."""
        self.storage.commit(*self.ending(live, verdict, live.best))
        self.ended_with(live, verdict)

    def ending(self, live: LiveTrial, verdict: Verdict, best: float | None) -> list[Statement]:
        """Return the statements that end a trial, whose best value is given."""
        tag = None if verdict is Verdict.COMPLETE else verdict.value
        run = self.outbox.status(live, MLFLOW_STATUS[verdict], tag)
        statements = self.finishing(live, *result_of(verdict, best), run)
        if verdict in {Verdict.DIVERGED, Verdict.BUDGET}:
            statements.append(self.storage.attribute(live.trial_id, verdict.value, value=True))
        return statements

    def ended_with(self, live: LiveTrial, verdict: Verdict) -> None:
        """Remember that a trial has ended after its last epoch."""
        state, value = result_of(verdict, live.best)
        self.finished(live, state, value)
        self.count_end(live, verdict.value)
        if self.reached:
            self.close("target")

    def fail(self, number: int, reason: str) -> bool:
        """Count a lost worker or an error; return whether the trial will be tried again.

        A full disk, or a store that cannot be used, is not its fault and costs it no attempt; nor
        is a precision that the machine it begins on cannot compute in.
        """
        live = self.live[number]
        loss = loss_of(reason)
        faultless = loss in {Loss.DISK, Loss.STORE} or (
            loss is Loss.PRECISION and not live.acknowledged
        )
        self.losses += not faultless
        again = faultless or live.lose(loss)
        remember = self.storage.optuna.set_trial_user_attr
        if live.alone:  # before it is counted: an attempt that is not may be had again
            remember(live.trial_id, "alone", value=True)
        remember(live.trial_id, "reason", reason[-2000:])
        remember(live.trial_id, "lost_after", live.lost_after)
        if again:
            self.requeue(number)
            return number not in self.ended
        run = self.outbox.status(live, "FAILED", "failed", reason)
        self.storage.commit(*self.finishing(live, TrialState.FAIL, None, run))
        self.finished(live, TrialState.FAIL, None)
        self.count_end(live, "failed")
        self.failures += 1
        return False

    def note_damage(self, number: int, what: str) -> None:
        """Remember a checkpoint of a trial that could not be used."""
        self.storage.optuna.set_trial_user_attr(self.live[number].trial_id, "damaged", what)

    @property
    def is_failing(self) -> bool:
        """Whether so many trials failed in a row that going on would only fail more."""
        return self.failures >= FAILURES

    def requeue(self, number: int) -> None:
        """Put a running trial back: it is taken first, with the same number and parameters.

        Where the budget is spent it ends instead.
        """
        live = self.live[number]
        run = self.outbox.status(live, "KILLED", "interrupted")
        self.storage.commit(self.storage.state(live.trial_id, TrialState.WAITING), run)
        del self.live[number]
        self.waiting.append(live)
        self.waiting.sort(key=lambda waiting: waiting.number)
        self.end_waiting()

    def close(self, why: str) -> None:
        """Start no further trial; where a budget is spent, end those that wait."""
        if not self.is_closed or (why in SPENT and not self.is_spent):
            self.closed = why
        self.end_waiting()

    def end_waiting(self) -> None:
        """End the trials that wait, if the budget is spent."""
        while self.is_spent and self.waiting:
            live = self.waiting.pop(0)
            self.live[live.number] = live
            self.end(live, Verdict.BUDGET)

    def finishing(
        self, live: LiveTrial, state: TrialState, value: float | None, run: Statement
    ) -> list[Statement]:
        """Return the statements that write a trial's final state, everywhere."""
        statements = [self.storage.state(live.trial_id, state), run]
        if value is not None:
            statements.append(self.storage.result(live.trial_id, value))
        if self.searching:
            best = self.judge.best(self.best and self.best[1], value)
            ended = len(self.ended) + 1
            statements.append(self.outbox.job_step(ended, self.spec.objective.metric, best))
        return statements

    def finished(self, live: LiveTrial, state: TrialState, value: float | None) -> None:
        """Remember a trial's final state, once it is written."""
        self.mirror.finish(live.number, state, value, live.costs)
        self.rungs.finish(live.number, state, value)
        del self.live[live.number]

    def count_end(self, live: LiveTrial, how: str) -> None:
        """Count an ended trial and keep the best complete one; ties keep the earlier."""
        self.ended[live.number] = how
        if how != "complete" or live.best is None:
            return
        if self.best is None or self.judge.better(live.best, self.best[1]):
            self.best = (live.number, live.best)
        if self.judge.reaches_target(live.best) and not self.judge.is_over(live):
            self.reached = True
        if self.searching and not live.baseline:
            self.leaders.add(live.number, self.sign * live.best)

    def shut(self) -> None:
        """Close the database connections."""
        self.storage.close()


def result_of(verdict: Verdict, best: float | None) -> tuple[TrialState, float | None]:
    """Return Optuna's state of a trial that ended so, and its value, which a complete one has."""
    return (TrialState.COMPLETE, best) if verdict is Verdict.COMPLETE else (TrialState.PRUNED, None)
