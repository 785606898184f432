"""What a person sees while a job runs: a live table in a terminal, plain lines elsewhere."""

import math
import threading
import time
from dataclasses import dataclass, field
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from search.common.labels import counted, describe, duration, format_value
from search.common.texts import last_line
from search.common.trial import LiveTrial, Verdict
from search.study.forecast import Forecast
from search.study.study import JobStudy

BEST_SHOWN = 5
"""Ended trials in the live table."""

ENDINGS = {
    Verdict.COMPLETE: "complete",
    Verdict.PRUNED: "pruned",
    Verdict.DIVERGED: "diverged",
    Verdict.BUDGET: "stopped (budget)",
}


@dataclass
class Row:
    """A trial as it is shown."""

    live: LiveTrial
    epoch: int = 0
    value: float | None = None
    best: float | None = None
    ending: str | None = None
    started: float = field(default_factory=time.monotonic)
    seconds: float = 0.0


class Progress:
    """Shows a job's events. The driver's thread reports; a thread of Rich's draws."""

    def __init__(self, console: Console, job_id: str, home: str) -> None:
        self.console = console
        self.job_id = job_id
        self.home = home
        self.lock = threading.Lock()
        self.study: JobStudy | None = None
        self.forecast: Forecast | None = None
        self.stage_name = ""
        self.began = time.monotonic()
        self.rows: dict[int, Row] = {}
        """Trials that run."""
        self.ended: list[Row] = []
        """The best of those that have ended, best first; a search may have thousands."""
        self.epochs = 0
        """Of all that have ended."""
        self.display = Live(
            console=console, get_renderable=self.render, refresh_per_second=4, transient=True
        )

    @property
    def is_live(self) -> bool:
        """Whether a table is redrawn in place; else one line an event is printed."""
        return self.console.is_terminal

    def __enter__(self) -> "Progress":
        self.console.print(f"job {self.job_id}   state: {self.home}", highlight=False, markup=False)
        if self.is_live:
            self.display.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.is_live:
            self.display.stop()

    # -- events --------------------------------------------------------------------------------

    def stage(self, name: str, forecast: Forecast | None = None) -> None:
        """Begin a stage of the job, with the forecast of the study that it runs, if any."""
        study = forecast.study if forecast else None
        with self.lock:
            self.stage_name, self.study, self.forecast = name, study, forecast
            self.rows, self.ended, self.epochs = {}, [], 0
            self.began = time.monotonic()
        if study is not None and study.ended:
            name = f"{name}: going on after {len(study.ended)} of {counted(study.trials, 'trial')}"
        self.line(name)

    def line(self, text: str, trial: int | None = None) -> None:  # noqa: ARG002 - logs say it apart
        """Print a line that stays, about a trial or about the job."""
        self.console.print(
            f"{time.strftime('%H:%M:%S')}  {text}", highlight=False, markup=False, soft_wrap=True
        )

    def room(self, slots: int, gpus: float) -> None:
        """So many trials run at once from now on, with so many GPUs each."""
        if self.forecast is not None:
            self.forecast.slots = slots
        if slots == 0:
            self.line("no room: other jobs have all workers")
        else:
            trials = f"{counted(slots, 'trial')} at once"
            self.line(f"{trials}, {gpus:.4g} GPU each" if gpus else trials)

    def asked(self, live: LiveTrial) -> None:
        """A trial starts, or starts again."""
        with self.lock:
            self.rows[live.number] = Row(live, epoch=live.acknowledged, best=live.best)
            if self.forecast is not None:
                self.forecast.asked(live)

    def reported(self, live: LiveTrial, metrics: dict[str, float], verdict: Verdict) -> None:
        """An epoch was committed."""
        study, forecast = self.study, self.forecast
        if study is None or forecast is None:
            return
        with self.lock:
            forecast.reported(live, metrics, verdict)
            row = self.rows[live.number]
            row.epoch, row.best = live.acknowledged, live.best
            row.value = metrics.get(study.spec.objective.metric)
            row.seconds = time.monotonic() - row.started
            row.ending = ENDINGS.get(verdict)
            if row.ending is not None:
                self.keep(row)
        if study.searching and study.trials <= len(study.fixed):
            # Nothing is searched: a person wants to watch these trials learn, as in a notebook.
            self.line(epoch_line(row, metrics), live.number)
        if row.ending is not None and not self.is_live:
            self.line(self.ended_line(row, study), live.number)

    def lost(self, live: LiveTrial, reason: str, *, again: bool) -> None:
        """An attempt at a trial lost its worker or raised."""
        spent = self.study is not None and self.study.ended.get(live.number) == Verdict.BUDGET
        ending = ENDINGS[Verdict.BUDGET] if spent else "failed"
        what = "is tried again" if again else ending
        if again and live.alone:
            what += " alone"
        with self.lock:
            if again:
                del self.rows[live.number]
            else:
                self.rows[live.number].ending = ending
                self.keep(self.rows[live.number])
            if self.forecast is not None:
                self.forecast.lost(live, again=again)
        text = f"{self.label(live.number)}  {what}: {last_line(reason)[:200]}"
        self.line(text, live.number)

    def keep(self, row: Row) -> None:
        """Keep of a trial that has ended what is shown."""
        self.epochs += row.epoch
        rows = (*self.ended, self.rows.pop(row.live.number))
        self.ended = sorted(rows, key=lambda one: self.place(one.best, one.live.number))
        del self.ended[BEST_SHOWN:]

    def place(self, value: float | None, number: int) -> tuple[float, int]:
        """Return by what trials are ordered: the best first, of equals the earlier."""
        sign = 1 if self.study is None else self.study.sign
        return math.inf if value is None else -sign * value, number

    def damaged(self, live: LiveTrial, what: str) -> None:
        """A checkpoint of a trial could not be used."""
        text = f"{self.label(live.number)}  goes on from an earlier epoch: {what}"
        self.line(text, live.number)

    # -- pictures ------------------------------------------------------------------------------

    def label(self, number: int) -> str:
        """Return what a trial is called: those that confirm are counted from 0, too."""
        searching = self.study is None or self.study.searching
        return f"{'trial' if searching else 'confirm'} {number:03d}"

    def ended_line(self, row: Row, study: JobStudy) -> str:
        """Return the line that a finished trial leaves in a log."""
        return "  ".join(
            (
                self.label(row.live.number),
                f"{describe(row.live.config):<32}",
                f"{row.ending} after {counted(row.epoch, 'epoch')}",
                f"{study.spec.objective.metric} {format_value(row.best)}",
                f"best {self.best(study)}",
                f"{len(study.ended)}/{study.trials}",
                f"about {duration(self.left())} of {self.stage_name} left",
            )
        )

    def best(self, study: JobStudy) -> str:
        """Return the best value so far and its trial, running trials included."""
        rows = (*self.rows.values(), *self.ended)
        seen = [(row.best, row.live.number) for row in rows if row.best is not None]
        if study.best is not None:
            seen.append((study.best[1], study.best[0]))
        if not seen:
            return "–"
        value, number = min(seen, key=lambda one: self.place(*one))
        return f"{format_value(value)} ({self.label(number)})"

    def left(self) -> float | None:
        """Return the seconds that the stage will still take, None while nobody knows."""
        return None if self.forecast is None else self.forecast.left()

    def render(self) -> RenderableType:
        """Return the live table as of now."""
        with self.lock:
            if self.study is None:
                return Text(f"{self.stage_name} …", style="cyan")
            metric = self.study.spec.objective.metric
            return Group(
                self.head(self.study),
                trial_table("running", list(self.rows.values()), metric),
                trial_table("best of this run", self.ended, metric),
            )

    def head(self, study: JobStudy) -> RenderableType:
        """Return stage, bar, counts and time left on one line, the best value on the next."""
        grid = Table.grid(padding=(0, 2))
        epochs = self.epochs + sum(row.epoch for row in self.rows.values())
        grid.add_row(
            Text(self.stage_name, style="bold cyan"),
            ProgressBar(total=study.trials, completed=len(study.ended), width=24),
            f"{len(study.ended)}/{counted(study.trials, 'trial')}, {counted(epochs, 'epoch')}",
            f"{duration(time.monotonic() - self.began)}, about {duration(self.left())} left",
        )
        best = Text(f"best {study.spec.objective.metric} {self.best(study)}", style="bold green")
        return Group(grid, best)


def epoch_line(row: Row, metrics: dict[str, float]) -> str:
    """Return the line that an epoch leaves where nothing is searched."""
    shown = ("train_loss", "train_accuracy", "val_loss", "val_accuracy")
    values = "  ".join(f"{name} {format_value(metrics[name])}" for name in shown if name in metrics)
    label = describe(row.live.config)
    return f"{label}  epoch {row.epoch}/{row.live.config.epochs}  {values}"


def trial_table(title: str, rows: list[Row], metric: str) -> Table:
    """Return trials as a table, one a row."""
    table = Table(title=title, title_justify="left", title_style="dim", box=None, padding=(0, 1))
    table.add_column("trial", justify="right", min_width=5)
    table.add_column("configuration", no_wrap=True)  # the one that is cut where there is no room
    table.add_column("epoch", justify="right", min_width=5)
    table.add_column(metric, justify="right", min_width=len(metric))
    table.add_column("best", justify="right", min_width=6)
    table.add_column("", no_wrap=True, min_width=16)
    for row in rows:
        seconds = row.seconds if row.ending else time.monotonic() - row.started
        table.add_row(
            f"{row.live.number:03d}",
            describe(row.live.config) + (" (baseline)" if row.live.baseline else ""),
            f"{row.epoch}/{row.live.config.epochs}",
            format_value(row.value),
            format_value(row.best),
            Text(f"{row.ending or 'running'} {duration(seconds)}", style="dim"),
        )
    return table
