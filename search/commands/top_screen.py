"""What `top` shows: all jobs of an installation, or one job with its trials."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from search.commands.screens import STATUS_STYLE, WIDE, progress, words
from search.common.labels import BARS, OPEN, age, counted, duration, ended, format_value
from trainables.metrics import sign_of

CELL_STYLE = {"lstm": "#0072B2", "gru": "#D55E00"}
"""Blue and vermilion of Okabe and Ito, which people of any colour vision tell apart."""

BEST_SHOWN = 10
"""Ended trials of a job."""

AROUND = 13
"""Lines of a job's view that are no trials."""


@dataclass(frozen=True)
class Room:
    """How much can be shown: characters a line, and lines; None where there is no end of them."""

    width: int
    height: int | None

    def at_least(self, width: int) -> bool:
        """Whether lines are so wide."""
        return self.width >= width


# -- all jobs ------------------------------------------------------------------------------------


def overview(shown: dict[str, Any], room: Room) -> RenderableType:
    """Return the jobs of an installation, and what they use."""
    jobs = shown["jobs"]
    if not jobs:
        return Text(f"no jobs yet in {shown['place']}; `gatetune launch JOB.yaml` starts one")
    kept = jobs if room.height is None else jobs[: max(1, room.height - 5)]
    parts: list[RenderableType] = [in_use(shown), Text(), job_table(kept, room)]
    if len(kept) < len(jobs):
        parts.append(Text(f"… {len(jobs) - len(kept)} more; `gatetune jobs` lists all", "dim"))
    return Group(*parts)


def in_use(shown: dict[str, Any]) -> Text:
    """Return one line on the queue and the workers."""
    used = shown["workers"]
    said = [
        f"{shown['running']} running",
        f"{shown['queued']} queued",
        f"{counted(used['trials'], 'trial')} at once on {counted(used['cpus'], 'CPU')}"
        + gpus_in_use(used["gpus"]),
    ]
    if used["part"] is not None:
        said.append(f"{used['part']:.0%} of the shared Ray")
    return Text(" · ".join(said), "bold")


def gpus_in_use(gpus: float | None) -> str:
    """Return what trials have of GPUs; None where a job takes as many as fit (`auto`)."""
    if gpus is None:
        return " and GPUs as needed"
    return f" and {counted(gpus, 'GPU')}" if gpus else ""


def job_table(jobs: Sequence[dict[str, Any]], room: Room) -> Table:
    """Return jobs as a table, one a row; narrow lines have fewer columns."""
    if not room.at_least(WIDE):
        return narrow_table(jobs)
    table = plain_table(gap=1 if room.at_least(95) else 0)
    table.add_column("job", no_wrap=True, overflow="ellipsis", max_width=room.width // 2 - 17)
    table.add_column("status", no_wrap=True, min_width=8)
    table.add_column("", no_wrap=True)
    table.add_column("trials", justify="right", no_wrap=True, min_width=7)
    table.add_column("left", justify="right", no_wrap=True, min_width=9)
    if room.at_least(130):
        table.add_column("objective", no_wrap=True)
    if room.at_least(95):
        table.add_column("best", justify="right", no_wrap=True, min_width=6)
    for cell, style in CELL_STYLE.items():
        title = Text(cell.upper(), style)
        table.add_column(title, justify="right", no_wrap=True, min_width=6)
    if room.at_least(105):
        table.add_column("owner", no_wrap=True, overflow="ellipsis", max_width=16)
    table.add_column("age", justify="right", no_wrap=True, min_width=6)
    for job in jobs:
        table.add_row(*job_row(job, room))
    return table


def narrow_table(jobs: Sequence[dict[str, Any]]) -> Table:
    """Return jobs as a table of what has room beside a whole id."""
    table = plain_table()
    table.add_column("job", no_wrap=True, overflow="ellipsis")
    table.add_column("status", no_wrap=True)
    table.add_column("trials", justify="right", no_wrap=True)
    table.add_column("best", justify="right", no_wrap=True)
    for job in jobs:
        state = Text(job["status"], STATUS_STYLE[job["status"]])
        table.add_row(job["id"], state, progress(job), format_value(job["best_value"]))
    return table


def job_row(job: dict[str, Any], room: Room) -> list[RenderableType]:
    """Return what the table says of a job."""
    row: list[RenderableType] = [
        job["id"],
        Text(job["status"], STATUS_STYLE[job["status"]]),
        bar(job, 24 if room.at_least(115) else 8),
        progress(job),
        left(job),
    ]
    if room.at_least(130):
        row.append(job["objective"]["metric"])
    if room.at_least(95):
        row.append(format_value(job["best_value"]))
    row += [cell_value(job, cell) for cell in CELL_STYLE]
    if room.at_least(105):
        row.append(Text(job["owner"]))
    return [*row, age(job["created_at"])]


def cell_value(job: dict[str, Any], cell: str) -> Text:
    """Return the best value of a kind of cell; the better of both is bold."""
    values: dict[str, float] = job["best_by_cell"]
    if cell not in values:
        return Text("–", "dim")
    better = (max if job["objective"]["direction"] == "maximize" else min)(values.values())
    is_better = values[cell] == better and len(set(values.values())) > 1
    return Text(format_value(values[cell]), CELL_STYLE[cell] + (" bold" if is_better else ""))


# -- one job -------------------------------------------------------------------------------------


def job_view(shown: dict[str, Any], room: Room) -> RenderableType:
    """Return a job with its best and its running trials."""
    job, trials = shown["job"], shown["trials"]
    searched = [one for one in trials if one["study"] == job["id"]]
    running = [one for one in trials if one["state"] == "running"]
    ranked = by_value(searched, job["objective"]["direction"])
    lines = BEST_SHOWN * 2 if room.height is None else max(2, room.height - AROUND)
    first = running[: max(lines // 2, lines - len(ranked))]
    best = ranked[: min(BEST_SHOWN, lines - len(first))]
    parts: list[RenderableType] = [
        head(job, trials, room),
        best_line(job),
        history(searched, job, room),
    ]
    for title, rows in (("running", first), ("best trials", best)):
        if rows:
            parts += [Text(), trial_table(title, rows, job, room)]
    return Group(*parts, Text(), delivery(job))


def head(job: dict[str, Any], trials: Sequence[dict[str, Any]], room: Room) -> RenderableType:
    """Return what the job is and how far it has come, in two lines."""
    title = Text.assemble(
        (job["id"], "bold"), "  ", (job["status"], STATUS_STYLE[job["status"]]),
        f"  {job['owner']}  {age(job['created_at'])} old",
    )  # fmt: skip
    if job["message"]:
        title.append(f"  {job['message']}", "dim")
    title.truncate(room.width, overflow="ellipsis")
    again = [one for one in trials if one["study"] != job["id"]]
    done = sum(one["state"] not in OPEN for one in again)
    stage = (
        f"confirming, {counted(done, 'run')} done  " if again and job["status"] == "running" else ""
    )
    grid = Table.grid(padding=(0, 2))
    grid.add_row(
        bar(job, 24),
        f"{progress(job)} trials",
        f"{stage}{duration(job['elapsed_s'])}"
        + (f", about {left(job)} left" if job["left_s"] else f"  {left(job)}"),
    )
    return Group(title, grid)


def best_line(job: dict[str, Any]) -> RenderableType:
    """Return the best trial, and how the kinds of cell do."""
    metric, best = job["objective"]["metric"], job["best"]
    if best is None:
        return Text(f"best {metric} –")
    cells = [
        Text.assemble((f"{cell.upper()} ", CELL_STYLE[cell]), cell_value(job, cell))
        for cell in CELL_STYLE
    ]
    value = Text(f"best {metric} {format_value(best['value'])}", "bold green")
    value.append(f" (trial {best['trial']})", "not bold default")
    params = Text(words(best["params"]), no_wrap=True, overflow="ellipsis")
    return Group(Text("   ").join([value, *cells]), Padding(params, (0, 0, 0, 2)))


def history(searched: Sequence[dict[str, Any]], job: dict[str, Any], room: Room) -> Text:
    """Return how the best value rose from trial to trial, in the colours of the cells it was of."""
    sign = sign_of(job["objective"]["direction"])
    known = [one for one in searched if one["best_epoch_value"] is not None]
    if not known:
        return Text("no epoch yet", "dim")

    def better(best: dict[str, Any], one: dict[str, Any]) -> dict[str, Any]:
        return max(best, one, key=lambda trial: sign * trial["best_epoch_value"])

    bests = list(accumulate(known, better))
    width = min(len(bests), max(1, room.width - 40))
    picked = [bests[(place + 1) * len(bests) // width - 1] for place in range(width)]
    values = [one["best_epoch_value"] for one in picked]
    # Each improvement is one step: beside the first, in true proportion, no other would be seen.
    steps = {value: step for step, value in enumerate(dict.fromkeys(values))}
    line = Text("best so far ")
    for one in picked:
        level = steps[one["best_epoch_value"]] / max(1, len(steps) - 1)
        line.append(BARS[round(level * (len(BARS) - 1))], CELL_STYLE.get(one["cell"], ""))
    return line.append(f" {format_value(values[0])} to {format_value(values[-1])}", "dim")


def by_value(trials: Sequence[dict[str, Any]], direction: str) -> list[dict[str, Any]]:
    """Return the trials that have ended with a value, best first."""
    sign = sign_of(direction)
    ended = [one for one in trials if one["state"] not in OPEN]
    known = [one for one in ended if one["best_epoch_value"] is not None]
    return sorted(known, key=lambda one: -sign * one["best_epoch_value"])


def trial_table(
    title: str, trials: Sequence[dict[str, Any]], job: dict[str, Any], room: Room
) -> Table:
    """Return trials as a table, one a row; parameters are told in full where there is room."""
    table = plain_table()
    metric = job["objective"]["metric"]
    # As wide as there is room, whatever the names: so the columns of both tables are aligned.
    beside = 46 if room.at_least(WIDE) else 12 + len(metric)
    width = max(8, min(44, room.width - beside))
    table.add_column(title, no_wrap=True, overflow="ellipsis", width=width)
    table.add_column("epoch", justify="right", no_wrap=True, min_width=7)
    table.add_column(metric, justify="right", no_wrap=True, min_width=len(metric))
    if room.at_least(WIDE):
        table.add_column("", no_wrap=True, min_width=8)
    if room.at_least(110):
        most = room.width - 80
        table.add_column("parameters", no_wrap=True, overflow="ellipsis", max_width=most)
    for one in trials:
        row: list[RenderableType] = [
            trial_name(one),
            f"{one['epochs']}/{one['planned_epochs'] or '?'}",
            format_value(one["best_epoch_value"]),
        ]
        if room.at_least(WIDE):
            row.append(Text("" if one["state"] == "running" else one["state"], "dim"))
        if room.at_least(110):
            others = {name: value for name, value in one["params"].items() if name != "cell"}
            row.append(Text(words(others), "dim"))
        table.add_row(*row)
    return table


def trial_name(trial: dict[str, Any]) -> Text:
    """Return the name of a trial's run, the kind of its cell in that one's colour."""
    name = Text(trial["name"] or f"{trial['trial']:03d}")
    for cell, style in CELL_STYLE.items():
        name.highlight_words([cell.upper()], style)
    return name


def delivery(job: dict[str, Any]) -> Text:
    """Return what MLflow does not have yet of what there is."""
    number = job["undelivered"]
    waiting = f"{counted(number, 'record')} wait" + "s" * (number == 1)
    if job["mlflow_away"]:
        since = duration(time.time() - job["mlflow_away"]["since"])
        return Text(f"MLflow does not answer since {since}; {waiting}", "yellow")
    if number:
        return Text(f"{waiting} for MLflow", "dim")
    return Text("MLflow has all of it" if job["trials"]["total"] else "", "dim")


# -- parts ---------------------------------------------------------------------------------------


def plain_table(gap: int = 1) -> Table:
    """Return a table without lines between its rows, and with a gap between its columns."""
    return Table(
        box=box.SIMPLE_HEAD,
        header_style="bold",
        show_edge=False,
        padding=(0, gap, 0, 0),
    )


def bar(job: dict[str, Any], width: int) -> ProgressBar:
    """Return how many of the budgeted trials have ended, as a bar."""
    style = STATUS_STYLE[job["status"]]
    return ProgressBar(
        total=job["trials"]["budget"],
        completed=ended(job),
        width=width,
        complete_style=style,
        finished_style=style,
    )


def left(job: dict[str, Any]) -> str:
    """Return how long a job will still train; after that it is only exported and delivered."""
    if job["left_s"] is None:
        return ""
    return duration(job["left_s"]) if job["left_s"] else "finishing"
