"""What the commands print for people."""

import time
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from search.common.labels import (
    against,
    age,
    between,
    counted,
    describe,
    duration,
    ended,
    format_value,
    lead,
    mean_and_deviation,
    probability,
    setting,
)
from search.database.result import SURE, mean

if TYPE_CHECKING:
    from search.document.spec import JobSpec

WIDE = 75
"""Characters a line from which on all columns have room."""

STATUS_STYLE = {
    "finished": "green",
    "running": "cyan",
    "stopped": "yellow",
    "failed": "red",
    "queued": "dim",
}


def table(*columns: str) -> Table:
    """Return a plain table whose first two columns stay whole; the others may fold."""
    made = Table(box=box.SIMPLE_HEAD, header_style="bold", show_edge=False, padding=(0, 1, 0, 0))
    for place, column in enumerate(columns):
        made.add_column(column, overflow="fold", no_wrap=place < 2)
    return made


def fact(console: Console, label: str, text: str) -> None:
    """Print what something is; what does not fit goes on below itself, not below the label.

    Brackets are brackets, since names in a person's data may have some.
    """
    grid = Table.grid(padding=(0, 2))
    grid.add_column(min_width=9, no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(escape(f"  {label:<9}"), escape(text))
    console.print(grid)


def words(params: dict[str, Any]) -> str:
    """Return parameters as ``key=value`` pairs, numbers short."""
    return " ".join(f"{key}={setting(value)}" for key, value in params.items())


def status(shown: dict[str, Any]) -> str:
    """Return a job's status in its colour."""
    return f"[{STATUS_STYLE[shown['status']]}]{shown['status']}[/]"


def progress(shown: dict[str, Any]) -> str:
    """Return how many of the budgeted trials have ended, as a text."""
    return f"{ended(shown)}/{shown['trials']['budget']}"


def job_list(
    console: Console, listed: list[dict[str, Any]], place: str, *, chosen: bool = False
) -> None:
    """Print the jobs of a place, one a row; `chosen` are those that a person asked for."""
    if not listed:
        console.print(
            "no job matches; `gatetune jobs` lists all of them"
            if chosen
            else f"no jobs yet in {place}; `gatetune launch JOB.yaml` starts one",
            markup=False,
            soft_wrap=True,
        )
        return
    titles = ("job", "status", "trials", "best", "confirmed", "model", "took", "age")
    kept = len(titles) if console.width >= WIDE else titles.index("best") + 1
    shown = table(*titles[:kept])
    for job in listed:
        best, confirmed, model = job["best_value"], job["confirmed_mean"], job["model"]
        row = (
            job["id"],
            status(job),
            progress(job),
            format_value(best),
            format_value(confirmed),
            f"v{model['version']}" if model else "–",
            duration(job["elapsed_s"]),
            age(job["created_at"]),
        )
        shown.add_row(*row[:kept])
    console.print(shown)


def job_page(console: Console, job: dict[str, Any]) -> None:
    """Print one job: state, best trial, confirmation, model."""
    console.print(f"[bold]{job['id']}[/]  {status(job)}  {duration(job['elapsed_s'])}")
    if job["message"]:
        console.print(f"  {escape(job['message'])}")
    counts = ", ".join(
        f"{number} {state}"
        for state, number in job["trials"].items()
        if number and state not in {"total", "budget"}
    )
    fact(console, "trials", f"{progress(job)}: {counts or 'none yet'}")
    if job["best"]:
        best = job["best"]
        value = format_value(best["value"])
        metric = job["objective"]["metric"]
        fact(console, "best", f"{metric} {value} (trial {best['trial']})  {words(best['params'])}")
    if job["compared"]:
        comparison(console, job)
    if job["model"]:
        model = job["model"]
        fact(
            console,
            "model",
            f"models:/{model['name']}/{model['version']}, {model['alias']}: {model['reason']}",
        )
    if job["mlflow_away"]:
        gone = job["mlflow_away"]
        console.print(
            f"  [yellow]MLflow does not answer since {duration(time.time() - gone['since'])}, "
            f"training goes on: {escape(gone['error'])}[/]"
        )
    if job["undelivered"]:
        console.print(f"  [yellow]{job['undelivered']} records wait for MLflow[/]{remedy(job)}")


def remedy(job: dict[str, Any]) -> str:
    """Return what a person may do about records that wait."""
    if job["status"] == "running":
        return ""
    return f"; `gatetune up` or `gatetune doctor {job['id']} --repair` delivers them"


def comparison(console: Console, job: dict[str, Any]) -> None:
    """Print the winner beside the baseline, and what else was confirmed."""
    suffix = job["objective"]["metric"].removeprefix("val_")
    others = told_beside(suffix, job["compared"][0]["test_scores"])
    # A line of a terminal has no room for more.
    training = [] if others else [f"training {suffix}"]
    shown = table(
        "",
        f"validation {suffix}",
        *training,
        f"test {suffix}",
        *(f"test {other}" for other in others),
    )
    for one in job["compared"]:
        shown.add_row(
            role(one),
            mean_and_deviation(one["validation_mean"], one["validation_sd"]),
            *(format_value(one["train_mean"]) for _ in training),
            mean_and_deviation(one["test_mean"], one["test_sd"]),
            *(format_value(one["test_scores"].get(other)) for other in others),
        )
    for one in job["simple"]:
        shown.add_row(
            one["name"],
            format_value(one["validation"]),
            *("" for _ in training),
            format_value(one["test"]),
            *(format_value(one["scores"][other]) for other in others),
        )
    console.print()
    console.print(shown)
    console.print()
    width = max(len(role(one)) for one in job["compared"])
    for one in job["compared"]:
        fact(console, f"{role(one):<{width}}", words(one["params"]))
    if job["unbeaten"]:
        where = " on the test part" if job["unbeaten_on"] == "test" else ""
        console.print(f"  [yellow]the winner does not beat {job['unbeaten']}{where}[/]")
    if job["confirmed"] is None:
        console.print("  one run each, not confirmed over several seeds")
    else:
        certainty(console, job)


def certainty(console: Console, job: dict[str, Any]) -> None:
    """Print how sure it is that the winner, the best of those tried, beats the baseline."""
    confirmed, said = job["confirmed"], against(job)
    tried = sum(not one["baseline"] for one in job["compared"])
    console.print(f"  mean ± standard deviation over {counted(confirmed['seeds'], 'seed')}")
    if len(confirmed["level"]) > 1:
        console.print(
            f"  {len(confirmed['level'])} of them cannot be told apart; the winner is the best of "
            "the smallest"
        )
    if said is not None:
        console.print(f"  {said}")
        for part, gain in (("validation", confirmed["gain"]), ("test", confirmed["test_gain"])):
            if gain is not None:
                by, limits = lead(gain["value"], gain["low"], gain["high"])
                fact(console, f"  {part:<10}", f"{by}, with 95 percent by {limits}")
        if confirmed["chance"] is not None and tried > 1:
            chance = (
                f"were none better, the best of {tried} would look so with a probability of "
                f"{probability(confirmed['chance'])}; below {SURE} counts as better"
            )
            fact(console, f"  {'by chance':<10}", chance)


def told_beside(objective: str, known: Collection[str]) -> list[str]:
    """Return the metrics that people look for beside an objective that is another."""
    return [name for name in ("accuracy", "r2") if name in known and name != objective]


def role(one: dict[str, Any]) -> str:
    """Return what a candidate was in the comparison."""
    if one["chosen"]:
        return "winner (a baseline)" if one["baseline"] else "winner"
    return "baseline" if one["baseline"] else "also confirmed"


def outcome(console: Console, job: dict[str, Any], server: str | None) -> None:
    """Print how a launch or resume ended, here or at a service, and what to do next."""
    console.print()
    job_page(console, job)
    if job["status"] == "finished":
        at = f" --server {server}" if server else ""
        console.print()
        console.print(
            f"  fetch the model     gatetune fetch {job['id']} --to best-model{at}",
            markup=False,
            soft_wrap=True,
        )
        if not server:
            console.print("  open the MLflow UI  gatetune up")


def trial_list(console: Console, job_id: str, listed: list[dict[str, Any]]) -> None:
    """Print a job's trials, one a row."""
    shown = table("trial", "state", "epochs", "best epoch", "parameters")
    for row in listed:
        number = f"{row['trial']:03d}"
        shown.add_row(
            number if row["study"] == job_id else f"confirm {number}",
            row["state"] + (" (baseline)" if row["baseline"] else ""),
            str(row["epochs"]),
            format_value(row["best_epoch_value"]),
            escape(words(row["params"]) + (f"  {row['reason']}" if row["reason"] else "")),
        )
    console.print(shown)


def champion_list(console: Console, name: str, reigns: list[dict[str, Any]]) -> None:
    """Print the champions of a name, the present one first."""
    shown = table("version", "job", "since", "validation", "test", "with 95 %", "why")
    for one in reigns:
        number = f"[green]{one['version']}[/]" if one["present"] else one["version"]
        shown.add_row(
            number,
            one["job"],
            f"{age(one['since_ms'] / 1000)} ago",
            format_value(mean(one["validation"])),
            format_value(mean(one["test"])),
            between(one["test_interval"]),
            escape(one["reason"]),
        )
    console.print(shown)
    present = next((one for one in reigns if one["present"]), None)
    if present is not None:
        data = present["fingerprint"][:12]
        console.print(
            f"models:/{name}@champion is version {present['version']}, chosen by "
            f"{present['metric']} over {counted(len(present['validation']), 'seed')} on data {data}"
        )


def document_page(console: Console, spec: "JobSpec") -> None:
    """Print what a valid document would do."""
    data = escape(spec.data.source)
    console.print(f"[green]valid[/]  job {spec.name} on {data}, seed {spec.seed}", soft_wrap=True)
    for parameters, overrides in spec.baselines():
        fact(console, "baseline", describe(spec.config(parameters, overrides)))
    fact(console, "space", ", ".join(spec.space) or "nothing is searched")
    fact(console, "sampler", f"{spec.sampler.name}, pruner {spec.pruner.name}")
    trials, epochs = counted(spec.budget.trials, "trial"), counted(spec.most_epochs, "epoch")
    fact(console, "budget", f"{trials} of up to {epochs}")
    fact(console, "confirm", f"top {spec.confirm.top} over {counted(spec.confirm.seeds, 'seed')}")


def token_list(console: Console, listed: list[dict[str, Any]]) -> None:
    """Print the tokens, one a row."""
    if not listed:
        console.print("no tokens yet; `gatetune token create --role admin` makes one")
        return
    shown = table("token", "owner", "role", "made", "")
    for one in listed:
        revoked = one["revoked_at"]
        shown.add_row(
            one["id"],
            one["owner"],
            one["role"],
            f"{age(one['created_at'])} ago",
            f"[red]revoked[/] {age(revoked)} ago" if revoked else "",
        )
    console.print(shown)
