"""The report of a job: what it must say, and must not, in every form."""

import html
import json
from html.parser import HTMLParser

import optuna
import pytest

from search.common.texts import literal
from search.database.result import Gain, Result
from search.database.storage import open_storage
from search.database.store import Store
from search.database.tables import Job
from search.jobs.jobs import NotPossibleError
from search.report.pages import prose
from search.report.report import report
from tests.search.conftest import add_job, make_spec
from tests.search.told import BASELINE, OTHER, WINNER, result

MODEL = {"name": "tiny", "version": "4", "alias": "challenger", "reason": "it does <not> win"}
DATA = {
    "name": "digits", "fingerprint": "ab" * 32, "train": 1149, "validation": 288, "test": 360,
    "steps": 8, "features": 8, "classes": ["a|b", "<c>"],
}  # fmt: skip
FOUND = result(WINNER, BASELINE, others=(OTHER,)).model_copy(
    update={
        "chance": 0.004,
        "test_gain": Gain(value=0.1, low=0.05, high=0.15, probability=1.0),
        "confusion": ((90, 10), (5, 95)),
    }
)


def job_with(store: Store, found: Result | None) -> Job:
    add_job(store, make_spec())
    storage = open_storage(store)
    study = optuna.create_study(study_name="tiny-0001", storage=storage, direction="maximize")
    complete, pruned = optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED
    cells = optuna.distributions.CategoricalDistribution(("lstm", "gru"))
    study.add_trials(
        optuna.trial.create_trial(
            state=state, value=value, intermediate_values={1: 0.1, 2: value},
            params={"cell": cell}, distributions={"cell": cells},
        )
        for state, value, cell in (
            (complete, 0.81, "gru"), (pruned, 0.5, "gru"), (complete, 0.91, "lstm"),
        )
    )  # fmt: skip
    storage.engine.dispose()
    with store.session() as session:
        job = session.get_one(Job, "tiny-0001")
        job.dataset, job.model = json.dumps(DATA), json.dumps(MODEL)
        job.result = found.model_dump_json() if found else None
    return job


def test_markdown_says_which_alias_and_why_and_keeps_the_test_part_shut(store: Store) -> None:
    told = report(store, job_with(store, FOUND), "note", "markdown")
    for text in (told["note"], told["markdown"]):
        assert "`models:/tiny/4`, challenger: it does <not> win." in text
        assert "| **winner** | 0.9100 ± 0.0141 | 0.8900 to 0.9300 |" in text
        assert "| baseline | 0.8100 ± 0.0141 |" in text
        assert text.count("not looked at") == 1
        assert "1149 training, 288 validation and 360 test sequences" in text
    text = told["markdown"]
    assert text.startswith("# tiny\n\n**GRU 8x1 lr 0.01 reached validation accuracy 0.9100")
    assert "On the test part, held against the baseline, it is better by 0.1000 (0.0500 to" in text
    assert r"| a\|b | 100 | 0.900 | 0.947 | 0.923 |" in text
    assert r"most often a\|b is taken for \<c>, 10 times" in text
    assert "## LSTM or GRU?" in text
    assert "With 3 trials one cannot say" in text
    assert "| **winner: GRU 8x1 lr 0.01** | 1,234 | 0.05 | 0.3 |" in text
    assert len(told["note"]) < 5000  # which MLflow keeps of a tag


class Reader(HTMLParser):
    """Notes what a page opens, and what it asks the network for."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.asked: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.asked += [value for name, value in attrs if name in {"src", "href"}]


def test_the_page_needs_nothing_else_and_escapes(store: Store) -> None:
    page = report(store, job_with(store, FOUND), "html")["html"]
    reader = Reader()
    reader.feed(page)
    assert reader.asked == []
    assert "it does &lt;not&gt; win" in page
    assert "<code>models:/tiny/4</code>" in page
    assert "<strong>GRU 8x1" in page
    assert "2 complete, 1 pruned" in page
    assert "c" not in reader.tags
    assert "a&#124;b is taken for &lt;c&gt;, 10 times" in page
    assert page.count("<div class=picture>") == 5
    assert '"name":"GRU 8x1 lr 0.01, schedule constant (baseline)"' in page
    assert '"name":"ended early"' in page


def test_a_page_shows_names_as_they_are() -> None:
    name = r"<b>x</b> `a|b` **c** _d_ val_loss & \ 'e'"
    shown = prose(f"**{literal(name)}** is `code`")
    assert shown.startswith("<strong>")
    assert shown.endswith("</strong> is <code>code</code>")
    assert html.unescape(shown) == f"<strong>{name}</strong> is <code>code</code>"


def test_trials_are_counted_as_the_terminal_counts_them(store: Store) -> None:
    job, state = job_with(store, FOUND), optuna.trial.TrialState
    storage = open_storage(store)
    optuna.load_study(study_name=job.id, storage=storage).add_trials(
        optuna.trial.create_trial(state=ended, user_attrs=attrs)
        for ended, attrs in (
            (state.PRUNED, {"diverged": True}), (state.PRUNED, {"budget": True}), (state.FAIL, {}),
        )
    )  # fmt: skip
    storage.engine.dispose()
    said = report(store, job, "markdown")["markdown"]
    assert "1 budget, 2 complete, 1 diverged, 1 failed, 1 pruned" in said


def test_programs_get_the_same(store: Store) -> None:
    told = json.loads(report(store, job_with(store, FOUND), "json")["json"])
    assert told["job"] == "tiny-0001"
    assert told["verdict"].startswith("GRU 8x1")
    titles = [one["title"] for one in told["sections"]]
    assert titles[1:] == [
        "How much better is it?", "LSTM or GRU?", "Which parameters mattered?",
        "Would more trials help?", "How is each class told?", "What does it cost to run?",
        "The job",
    ]  # fmt: skip
    assert told["sections"][0]["table"]["rows"][0][0] == "winner"


def test_a_job_that_has_found_nothing_has_no_report(store: Store) -> None:
    with pytest.raises(NotPossibleError, match=r"job tiny-0001 is .* and has no result to report"):
        report(store, job_with(store, None), "note")
