"""The answer of a job in words, as Markdown and as a page with pictures."""

import html
import json
import re
from collections import Counter
from typing import Any

import optuna

from search.figures import pictures
from search.labels import describe, duration, format_value
from search.result import Candidate, Result, mean, sd
from search.spec import JobSpec
from search.storage import open_storage
from search.store import Store
from search.tables import Job

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
       color: #1f2328; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: .35rem .9rem; text-align: right; border-bottom: 1px solid #d1d9e0; }
th:first-child, td:first-child { text-align: left; }
td:not(:first-child) { white-space: nowrap; }
code { background: #f0f2f4; padding: .1rem .3rem; border-radius: .3rem; font-size: .9em; }
tr.chosen td { font-weight: 600; background: #eef6ee; }
.small { color: #59636e; font-size: .9rem; }
"""

HONESTY = (
    "The choice was made on the validation part. The test part was looked at afterwards, for the "
    "chosen configuration and the baseline alone."
)


def spread(values: tuple[float, ...]) -> str:
    """Return mean and standard deviation, such as ``0.9731 ± 0.0021``."""
    deviation = sd(values)
    tail = f" ± {deviation:.4f}" if deviation is not None else ""
    return f"{format_value(mean(values))}{tail}"


TOLD = {"cell", "hidden_size", "layers", "learning_rate", "dropout", "bidirectional"}
"""What `describe` says already."""


def learned(data: dict[str, Any]) -> str:
    """Return what is learned of a data set, in words."""
    targets = data.get("targets") or []
    return f"to predict {', '.join(targets)}" if targets else f"{len(data['classes'])} classes"


def label(spec: JobSpec, one: Candidate) -> str:
    """Return a candidate's configuration in words, with what differs from the job's training."""
    config, usual = spec.config(one.parameters), spec.config({})
    others = [
        f"{key} {value}"
        for key, value in one.parameters.items()
        if key not in TOLD and value != getattr(usual, key)
    ]
    return ", ".join([describe(config), *others])


def verdict(spec: JobSpec, result: Result) -> str:
    """Return the one sentence that a reader wants first."""
    chosen, rival = result.chosen, result.rival
    seeds = (
        f"over {len(chosen.runs)} seeds" if result.confirmed else "in a single run, not confirmed"
    )
    found = f"{label(spec, chosen)} reached {part(result)} {spread(chosen.validation)} {seeds}"
    if result.unbeaten is not None:
        found += f", which {result.unbeaten.name} does as well"
    if rival is None:
        return f"{found}. The document names no baseline to compare with."
    if rival.of == chosen.of:
        return f"The baseline stands: {found}, and nothing that was tried is better."
    word = "beats" if result.beats_baseline else "is not clearly better than"
    return f"{found} and {word} the baseline, {label(spec, rival)}, at {spread(rival.validation)}."


def part(result: Result) -> str:
    """Return the objective in words, such as ``validation accuracy``."""
    return result.metric.replace("val_", "validation ", 1)


def rows(spec: JobSpec, result: Result) -> list[tuple[str, str, str, str, bool]]:
    """Return a row a candidate: label, validation, train, test, whether chosen."""
    return [
        (
            f"{label(spec, one)}{' (baseline)' if one.baseline else ''}",
            spread(one.validation),
            spread(one.train) if one.train else "–",
            spread(one.test) if one.test else "not looked at",
            one.of == result.chosen.of,
        )
        for one in result.candidates
    ] + [
        (
            f"{one.name}, which sees {one.sees}",
            format_value(one.validation),
            "–",
            format_value(one.test),
            False,
        )
        for one in result.simple
    ]


def markdown(job: Job, result: Result, model: dict[str, Any]) -> str:
    """Return the report as Markdown; also the description of the parent run."""
    spec = JobSpec.from_json(job.document)
    suffix = result.metric.removeprefix("val_")
    lines = [
        f"**{verdict(spec, result)}**",
        "",
        f"| configuration | validation {suffix} | training {suffix} | test {suffix} |",
        "| --- | --- | --- | --- |",
        *(
            f"| {'**' + name + '**' if chosen else name} | {validation} | {train} | {test} |"
            for name, validation, train, test, chosen in rows(spec, result)
        ),
        "",
        promotion(model),
        "",
        HONESTY,
        "",
        f"Job `{job.id}`, {duration(job.elapsed_s)}, seed {spec.seed}. {data_line(job)}",
    ]
    return "\n".join(lines) + "\n"


def promotion(model: dict[str, Any]) -> str:
    """Return which alias the model got, and why."""
    return (
        f"Registered as `models:/{model['name']}@{model['alias']}` (version {model['version']}): "
        f"{model['reason']}."
    )


def data_line(job: Job) -> str:
    """Return the data set in a sentence."""
    data = json.loads(job.dataset or "{}")
    return (
        f"Data `{data['name']}` ({data['fingerprint'][:12]}): {data['train']} training, "
        f"{data['validation']} validation and {data['test']} test sequences of {data['steps']} "
        f"steps with {data['features']} features, {learned(data)}."
    )


def html_page(store: Store, job: Job, result: Result, model: dict[str, Any]) -> str:
    """Return the report as one page that needs nothing else, pictures included."""
    spec = JobSpec.from_json(job.document)
    storage = open_storage(store)
    try:
        study = optuna.load_study(study_name=job.id, storage=storage)
        ends = Counter(trial.state.name.lower() for trial in study.get_trials(deepcopy=False))
        named = {
            one.of: f"{label(spec, one)}{' (baseline)' if one.baseline else ''}"
            for one in result.measured
        }
        drawn = [
            picture.to_html(
                full_html=False,
                include_plotlyjs="inline" if first else False,
                config={"displayModeBar": False, "responsive": True},
            )
            for first, picture in zip(
                (True, False), pictures(study, result.metric, named).values(), strict=True
            )
        ]
    finally:
        storage.engine.dispose()
    suffix = result.metric.removeprefix("val_")
    body = "".join(
        f"<tr{' class=chosen' if chosen else ''}>"
        + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells)
        + "</tr>"
        for *cells, chosen in rows(spec, result)
    )
    counted = ", ".join(f"{number} {state}" for state, number in sorted(ends.items()))
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{html.escape(job.id)}</title>"
        f"<style>{STYLE}</style><h1>{html.escape(job.name)}</h1>"
        f"<p><strong>{html.escape(verdict(spec, result))}</strong></p>"
        f"<table><tr><th>configuration<th>validation {suffix}<th>training {suffix}"
        f"<th>test {suffix}</tr>{body}</table>"
        f"<p>{prose(promotion(model))}</p>"
        f"<p class=small>{HONESTY}</p>"
        f"{''.join(drawn)}"
        f"<p class=small>Job {html.escape(job.id)}: {counted}; {duration(job.elapsed_s)}, "
        f"seed {spec.seed}. {prose(data_line(job))}</p></html>"
    )


def prose(text: str) -> str:
    """Return Markdown of this module's own as HTML: backticks mean code."""
    return re.sub("`([^`]*)`", r"<code>\1</code>", html.escape(text))
