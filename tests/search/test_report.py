"""The answer in words: what it must say, and must not."""

import json

import optuna
import pytest

from search.report import html_page, label, markdown, verdict
from search.result import Candidate, Result
from search.storage import open_storage
from search.store import Store
from search.tables import Job
from tests.search.conftest import add_job, make_spec

MODEL = {"name": "tiny", "version": "4", "alias": "challenger", "reason": "it does <not> win"}
DATA = {
    "name": "digits", "fingerprint": "ab" * 32, "train": 1149, "validation": 288, "test": 360,
    "steps": 8, "features": 8, "classes": list("0123456789"),
}  # fmt: skip


def candidate(of: int, *validation: float, test: float | None = None, **more: object) -> Candidate:
    baseline = bool(more.pop("baseline", False))
    return Candidate(
        of=of,
        parameters={"cell": "gru", "hidden_size": 8, "learning_rate": 0.01, **more},
        baseline=baseline,
        runs=tuple(range(len(validation))),
        validation=validation,
        train=validation,
        test=() if test is None else (test,) * len(validation),
    )


def result(chosen: Candidate, *baselines: Candidate, others: tuple[Candidate, ...] = ()) -> Result:
    return Result(
        metric="val_accuracy", direction="maximize", study="tiny-0001/confirm",
        confirmed=len(chosen.runs) > 1, chosen=chosen, baselines=baselines, others=others,
    )  # fmt: skip


WINNER = candidate(2, 0.90, 0.92, test=0.89)
BASELINE = candidate(0, 0.80, 0.82, test=0.79, baseline=True, schedule="constant")
OTHER = candidate(1, 0.85, 0.87)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (result(WINNER, BASELINE), "validation accuracy 0.9100 ± 0.0141 over 2 seeds and beats"),
        (result(candidate(2, 0.81, 0.83), BASELINE), "is not clearly better than the baseline"),
        (result(BASELINE, BASELINE), "The baseline stands: "),
        (result(WINNER), "names no baseline"),
        (result(candidate(2, 0.9)), "in a single run, not confirmed"),
    ],
)
def test_the_verdict(found: Result, said: str) -> None:
    assert said in verdict(make_spec(), found)


def test_a_label_names_what_differs_from_the_training_of_the_job() -> None:
    spec = make_spec()
    assert label(spec, BASELINE) == "GRU 8x1 lr 0.01, schedule constant"
    assert label(spec, candidate(1, 0.5, schedule="one-cycle")) == "GRU 8x1 lr 0.01"


@pytest.fixture
def job(store: Store) -> Job:
    add_job(store, make_spec())
    storage = open_storage(store)
    study = optuna.create_study(study_name="tiny-0001", storage=storage, direction="maximize")
    complete, pruned = optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED
    study.add_trials(
        optuna.trial.create_trial(state=state, value=value, intermediate_values={1: 0.1, 2: value})
        for state, value in ((complete, 0.81), (pruned, 0.5), (complete, 0.91))
    )
    storage.engine.dispose()
    with store.session() as session:
        found = session.get_one(Job, "tiny-0001")
        found.dataset = json.dumps(DATA)
    return found


def test_markdown_says_which_alias_and_why_and_keeps_the_test_part_shut(job: Job) -> None:
    text = markdown(job, result(WINNER, BASELINE, others=(OTHER,)), MODEL)
    assert "`models:/tiny@challenger` (version 4): it does <not> win." in text
    assert "| **GRU 8x1 lr 0.01** | 0.9100 ± 0.0141 |" in text
    assert "schedule constant (baseline) | 0.8100 ± 0.0141 |" in text
    assert text.count("not looked at") == 1
    assert "1149 training, 288 validation and 360 test sequences" in text


def test_the_page_needs_nothing_else_and_escapes(job: Job, store: Store) -> None:
    page = html_page(store, job, result(WINNER, BASELINE, others=(OTHER,)), MODEL)
    assert "it does &lt;not&gt; win" in page
    assert "<code>models:/tiny@challenger</code>" in page
    assert "2 complete, 1 pruned" in page
    assert page.count("Plotly.newPlot(") == 2
    assert " src=" not in page.partition("<script")[0]
    assert '"name":"GRU 8x1 lr 0.01, schedule constant (baseline)"' in page
    assert '"name":"ended early"' in page
