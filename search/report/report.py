"""The answer of a job to what readers ask, as Markdown and as a page."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property, partial
from typing import Any, Literal

import optuna
import plotly.graph_objects as go
from optuna.trial import FrozenTrial

from search.common.labels import between, cost, counted, describe, duration, format_value
from search.common.texts import literal
from search.common.trial import state_of
from search.database.lease import live_status
from search.database.result import Result
from search.database.storage import using_study
from search.database.store import Store
from search.database.tables import Job
from search.document.spec import JobSpec
from search.jobs.jobs import NotPossibleError
from search.report import figures, findings
from search.report.findings import label, spread
from search.report.pages import Section, Table, in_markdown, page
from search.study import champion
from trainables.metrics import COSTS

UNITS = (
    "Megabytes are those of the weights in float32. Milliseconds are those of one sequence as long "
    "as the longest, on one thread of the machine that chose: a median, after a warm-up."
)

MOST_ROWS = 60
"""Classes of which a table is shown."""


class Report:
    """All that a job says about what it found.

    Args:
        job: a finished one.
        result: what it found.
        study: its search.
    """

    def __init__(self, job: Job, result: Result, study: optuna.Study) -> None:
        self.job = job
        self.spec = JobSpec.from_json(job.document)
        self.result = result
        self.model = job.registered
        self.study = study
        self.trials: list[FrozenTrial] = study.get_trials(deepcopy=False)
        self.data = job.data

    # -- what is said ------------------------------------------------------------------------------

    def verdict(self) -> str:
        """Return the one sentence that a reader wants first."""
        return findings.verdict(self.spec, self.result)

    def honesty(self) -> str:
        """Return what the choice has seen, and how far intervals can be trusted."""
        return findings.honesty(self.result, self.data["test"])

    def beginning(self) -> Section:
        """Return the answer itself."""
        told = [f"**{self.verdict()}**", findings.choice(self.result)]
        if self.model is not None:
            told.append(promotion(self.model))
        return Section("", [one for one in told if one], self.candidates())

    def candidates(self) -> Table:
        """Return the configurations that were compared, and simple models."""
        suffix, names = self.result.metric.removeprefix("val_"), findings.names(self.result)
        rows = [
            (
                names[one.of],
                spread(one.validation),
                between(one.validation_interval),
                spread(one.train) if one.train else "–",
                spread(one.test) if one.test else "not looked at",
                between(one.test_interval),
            )
            for one in self.result.candidates
        ] + [
            (
                one.name,
                format_value(one.validation), "–", "–", format_value(one.test), "–",
            )
            for one in self.result.simple
        ]  # fmt: skip
        heads = (
            "configuration", f"validation {suffix}", "95 % interval", f"training {suffix}",
            f"test {suffix}", "95 % interval",
        )  # fmt: skip
        return Table(heads, rows, strong=0)

    def sections(self) -> Iterable[Section]:
        """Yield the answers to what a reader asks, in this order."""
        yield self.beginning()
        yield Section("How much better is it?", [*findings.advantage(self.result), self.honesty()])
        yield Section("LSTM or GRU?", findings.cells(self.spec, self.result, self.trials))
        yield from self.several()
        yield from self.importance()
        yield Section(
            "Would more trials help?",
            [one for one in [findings.outlook(self.result, self.trials)] if one],
            pictures=[lambda: figures.history(self.study, self.result.metric), self.curves],
        )
        yield from self.classes()
        yield self.costs()
        yield self.ending()

    def several(self) -> Iterable[Section]:
        """Yield what stands to choose from, where there are several objectives."""
        aim, names = self.spec.objective, findings.names(self.result)
        if not aim.beside:
            return
        found = champion.found(self.trials, self.spec)
        best = champion.front(found, self.spec)
        picked = [
            f"{what[0].upper()}{what[1:]}: {names[one.of]}, trial {one.of} of the search, "
            f"{label(self.spec, one)}."
            for what, one in findings.picks(self.result, aim.limits)
        ]
        rows = [
            (
                f"trial {trial.number}: {describe(self.spec.config_of(trial))}",
                format_value(trial.value),
                *(cost(trial.user_attrs["costs"][name]) for name in COSTS),
            )
            for trial in best
        ]
        told = (
            f"None of {len(found)} complete trials is better than these {len(best)} in all of "
            f"{', '.join((aim.metric, *aim.beside))}. They are single runs of the search."
        )
        yield Section(
            "What could one take?",
            [*picked, told],
            Table(("", aim.metric, *COSTS), rows),
            [partial(figures.front, found, best, aim.metric, name) for name in aim.beside],
        )

    def importance(self) -> Iterable[Section]:
        """Yield which parameters mattered, where enough trials are complete."""
        count = len(findings.complete(self.trials))
        shares = self.shares if count > 1 else {}
        sentence = findings.mattered(shares, count)
        if sentence is not None:
            yield Section(
                "Which parameters mattered?",
                [sentence],
                pictures=[
                    lambda: figures.bars(shares, self.result.metric),
                    lambda: figures.parallel(self.study, self.result.metric),
                ],
            )

    @cached_property
    def shares(self) -> dict[str, float]:
        """How much of the differences goes with each parameter."""
        return figures.shares(self.study)

    def curves(self) -> go.Figure:
        """Draw the learning curves, those of the measured configurations with names."""
        named = {
            one.of: f"{label(self.spec, one)}{' (baseline)' if one.baseline else ''}"
            for one in self.result.measured
        }
        return figures.curves(self.study, self.result.metric, named)

    def classes(self) -> Iterable[Section]:
        """Yield how each class is told, where there are not very many."""
        names = self.data.get("classes") or []
        sentence = findings.mistakes(self.result, names) if self.result.confusion else None
        if sentence is None:
            return
        rows = findings.classes(self.result, names)
        heads = ("class", "test sequences", "recall", "precision", "F1")
        yield Section(
            "How is each class told?",
            [f"The model of the best seed, on the test part. {sentence}"],
            Table(heads, rows) if len(rows) <= MOST_ROWS else None,
            [lambda: figures.confusion(self.result.confusion, names)],
        )

    def costs(self) -> Section:
        """Return which configurations were compared, and what they cost to run."""
        names = findings.names(self.result)
        rows = [
            (
                f"{names[one.of]}: {label(self.spec, one)}",
                *(cost(getattr(one, name)) for name in COSTS),
            )
            for one in self.result.candidates
        ]
        heads = ("configuration", "weights", "MB", "ms a sequence")
        return Section("What does it cost to run?", [UNITS], Table(heads, rows, strong=0))

    def ending(self) -> Section:
        """Return what the job was."""
        ends = Counter(map(state_of, self.trials))
        states = ", ".join(f"{number} {state}" for state, number in sorted(ends.items()))
        took = f"{duration(self.job.elapsed_s)}, seed {self.spec.seed}"
        return Section(
            "The job", [f"Job `{self.job.id}`: {states}; {took}. {data_line(self.data)}"]
        )

    # -- as text and as a page ---------------------------------------------------------------------

    def told(self) -> list[Section]:
        """Return the sections that have something to say."""
        return [one for one in self.sections() if one.sentences or one.table]

    def note(self) -> str:
        """Return the answer alone in Markdown: the description of the parent run."""
        ones = [self.beginning(), Section("", [self.honesty()]), self.ending()]
        return "\n".join(map(in_markdown, ones))

    def markdown(self) -> str:
        """Return the whole report in Markdown."""
        return f"# {self.job.name}\n\n" + "\n".join(map(in_markdown, self.told()))

    def json(self) -> str:
        """Return the sections for programs."""
        told = [
            {
                "title": one.title,
                "sentences": list(one.sentences),
                "table": one.table and {"heads": one.table.heads, "rows": list(one.table.rows)},
            }
            for one in self.sections()
        ]
        return json.dumps({"job": self.job.id, "verdict": self.verdict(), "sections": told})

    def page(self) -> str:
        """Return the whole report as one page that needs nothing else, pictures included."""
        return page(self.job.id, self.job.name, self.told())


Form = Literal["markdown", "html", "json", "note"]


@contextmanager
def reporting(store: Store, job: Job) -> Iterator[Report]:
    """Open a job's study and yield its report, which reads it.

    Raises:
        NotPossibleError: the job has found nothing yet.
    """
    result = job.found
    if result is None:
        status = live_status(job)
        raise NotPossibleError(f"job {job.id} is {status} and has no result to report yet")
    with using_study(store, job.id) as study:
        yield Report(job, result, study)


def sections_of(store: Store, job: Job) -> list[Section]:
    """Return the sections of a job's report that have something to say.

    Raises:
        NotPossibleError: the job has found nothing yet.
    """
    with reporting(store, job) as told:
        return told.told()


def report(store: Store, job: Job, *forms: Form) -> dict[Form, str]:
    """Return a job's report in some forms.

    Args:
        store: the database.
        job: which.
        forms: how; a note is its beginning in Markdown.

    Raises:
        NotPossibleError: the job has found nothing yet.
    """
    with reporting(store, job) as told:
        makes: dict[Form, Callable[[], str]] = {
            "markdown": told.markdown,
            "html": told.page,
            "json": told.json,
            "note": told.note,
        }
        return {form: makes[form]() for form in forms}


def promotion(model: dict[str, Any]) -> str:
    """Return which alias the model got, and why."""
    return (
        f"Registered as `models:/{model['name']}/{model['version']}`, {model['alias']}: "
        f"{model['reason']}."
    )


def learned(data: dict[str, Any]) -> str:
    """Return what is learned of a data set, in words."""
    targets = data.get("targets") or []
    return (
        f"to predict {', '.join(map(literal, targets))}"
        if targets
        else f"{len(data['classes'])} classes"
    )


def data_line(data: dict[str, Any]) -> str:
    """Return the data set in a sentence."""
    most = "at most " if data.get("varies") else ""
    return (
        f"Data `{data['name']}` ({data['fingerprint'][:12]}): {data['train']} training, "
        f"{data['validation']} validation and {data['test']} test sequences of "
        f"{most}{data['steps']} steps with {counted(data['features'], 'feature')}, {learned(data)}."
    )
