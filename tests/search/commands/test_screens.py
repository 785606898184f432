import io
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from rich.console import Console

from search.commands import screens
from search.database.lease import Lease
from search.database.store import Store
from search.document.spec import JobSpec, parse_job
from search.jobs.jobs import find, show, show_trials
from search.jobs.listing import Wanted, pages
from search.study.study import JobStudy
from tests.search.conftest import DOCUMENT, finish_job, make_spec, open_study, train

BASELINE = "baseline=[{cell: gru, hidden_size: 8, learning_rate: 0.01}]"
TRACEBACK = "Traceback:\nKeyError: batch[index] [/bold]"


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=160, highlight=False)


@pytest.fixture
def study(store: Store, owned: Callable[[Store, JobSpec], Lease]) -> Iterator[JobStudy]:
    spec = make_spec(BASELINE)
    made = open_study(store, owned(store, spec), spec)
    yield made
    made.shut()


def listed(store: Store) -> list[dict[str, Any]]:
    return list(pages(store, Wanted()))


def printed(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def lines(console: Console) -> list[str]:
    """Return the lines with their spaces made one."""
    return [" ".join(line.split()) for line in printed(console).splitlines() if line.strip()]


def test_no_jobs_yet(console: Console) -> None:
    screens.job_list(console, [], "/home/[ada]")
    screens.job_list(console, [], "/home/[ada]", chosen=True)
    assert lines(console) == [
        "no jobs yet in /home/[ada]; `gatetune launch JOB.yaml` starts one",
        "no job matches; `gatetune jobs` lists all of them",
    ]


def test_the_list_of_jobs(console: Console, store: Store, study: JobStudy) -> None:
    train(study, 0.75)
    train(study)
    screens.job_list(console, listed(store), "/home")
    finish_job(store, "tiny-0001")
    screens.job_list(console, listed(store), "/home")
    before, after = (line for line in lines(console) if line.startswith("tiny-0001"))
    assert before.startswith("tiny-0001 running 1/6 0.7500 – – 0 s")
    assert after.startswith("tiny-0001 finished 1/6 0.7500 0.9100 v1 3:07 min")


def test_a_list_keeps_ids_whole_in_a_narrow_terminal(store: Store, study: JobStudy) -> None:
    finish_job(store, "tiny-0001")
    narrow = Console(file=io.StringIO(), width=40)
    screens.job_list(narrow, listed(store), "/home")
    told = printed(narrow)
    assert "tiny-0001" in told
    assert "finished" in told
    assert "confirmed" not in told


def test_what_does_not_fit_a_line_goes_on_below_itself() -> None:
    narrow = Console(file=io.StringIO(), width=40)
    screens.fact(narrow, "best", "val_accuracy 0.9236 hidden_size=12 learning_rate=0.02281")
    assert [line.rstrip() for line in printed(narrow).splitlines()] == [
        "  best       val_accuracy 0.9236",
        "             hidden_size=12",
        "             learning_rate=0.02281",
    ]


def test_the_page_of_a_running_job(console: Console, store: Store, study: JobStudy) -> None:
    train(study, 0.75)
    train(study)
    screens.job_page(console, show(store, find(store, "tiny")))
    assert lines(console) == [
        "tiny-0001 running 0 s",
        "trials 1/6: 1 complete, 1 running",
        "best val_accuracy 0.7500 (trial 0) cell=gru hidden_size=8 learning_rate=0.01",
        "4 records wait for MLflow",
    ]


def test_the_page_of_a_finished_job_says_what_to_do_next(
    console: Console, store: Store, study: JobStudy
) -> None:
    finish_job(store, "tiny-0001")
    screens.outcome(console, show(store, find(store, "tiny")), None)
    shown = lines(console)
    assert "winner 0.9100 ± 0.0141 – 0.8900 ± 0.0141" in shown
    assert "winner cell=gru hidden_size=16 learning_rate=0.01" in shown
    assert any(line.startswith("baseline 0.8100 ± 0.0141 – 0.7900 ± 0.0141") for line in shown)
    assert "mean ± standard deviation over 2 seeds" in shown
    assert "model models:/tiny/1, champion: it won" in shown
    assert "fetch the model gatetune fetch tiny-0001 --to best-model" in shown
    assert "open the MLflow UI gatetune up" in shown


def test_how_sure_a_gain_is_says_how_many_were_tried(
    console: Console, store: Store, study: JobStudy
) -> None:
    finish_job(store, "tiny-0001")
    job = show(store, find(store, "tiny"))
    gain = {"value": 0.1, "low": 0.01, "high": 0.2, "probability": 0.98}
    job["confirmed"] |= {"gain": gain, "chance": 0.0904, "beats_baseline": False}
    said = "by chance were none better, the best of 2 would look so with"
    screens.comparison(console, job)
    assert "validation better by 0.1000, with 95 percent by 0.0100 to 0.2000" in lines(console)
    assert "by chance" not in printed(console)
    job["compared"].append(dict(job["compared"][0], chosen=False))
    screens.comparison(console, job)
    assert f"{said} a probability of 0.090; below 0.025 counts as better" in lines(console)


def test_a_baseline_that_won_is_held_against_nothing(
    console: Console, store: Store, study: JobStudy
) -> None:
    finish_job(store, "tiny-0001")
    job = show(store, find(store, "tiny"))
    for one, baseline in zip(job["compared"], (True, False), strict=True):
        one["baseline"] = baseline
    screens.comparison(console, job)
    assert "the baseline stands: nothing that was tried is surely better" in lines(console)


def test_what_to_do_next_at_a_service_names_the_service(
    console: Console, store: Store, study: JobStudy
) -> None:
    finish_job(store, "tiny-0001")
    screens.outcome(console, show(store, find(store, "tiny")), "http://hub:8765")
    shown = lines(console)
    command = "gatetune fetch tiny-0001 --to best-model --server http://hub:8765"
    assert f"fetch the model {command}" in shown
    assert "open the MLflow UI gatetune up" not in shown


def test_a_job_that_is_not_finished_has_nothing_to_fetch(
    console: Console, store: Store, study: JobStudy
) -> None:
    job = find(store, "tiny")
    job.status, job.message = "failed", "no [/green] trial of space[cell] completed"
    screens.outcome(console, show(store, job), None)
    assert "no [/green] trial of space[cell] completed" in lines(console)
    assert "fetch" not in printed(console)


def test_the_list_of_trials(console: Console, store: Store, study: JobStudy) -> None:
    train(study, 0.70, 0.75)
    while study.fail(train(study).number, TRACEBACK):
        pass
    screens.trial_list(console, "tiny-0001", show_trials(store, find(store, "tiny")))
    shown = lines(console)
    assert "000 complete (baseline) 2 0.7500 cell=gru hidden_size=8 learning_rate=0.01" in shown
    assert any(line.startswith("001 failed 0 –") for line in shown)
    assert any(line.endswith("KeyError: batch[index] [/bold]") for line in shown)


def test_trials_of_the_confirmation_say_so(console: Console) -> None:
    row = {"study": "tiny-0001/confirm", "trial": 3, "state": "complete", "epochs": 4,
           "best_epoch_value": 0.5, "baseline": False, "params": {}, "reason": None}  # fmt: skip
    screens.trial_list(console, "tiny-0001", [row])
    assert "confirm 003 complete 4 0.5000" in lines(console)


def test_a_document_that_searches_for_epochs_says_the_most(console: Console) -> None:
    searched = DOCUMENT.replace("{epochs: 4, layers: 1}", "{layers: 1}")
    screens.document_page(console, parse_job(searched, ["space.epochs=[2, 9]"]))
    assert "budget 6 trials of up to 9 epochs" in lines(console)


def test_a_path_with_brackets_is_shown_as_it_is(console: Console) -> None:
    screens.document_page(console, make_spec("data.source=/walks[a]/[/old].csv"))
    assert lines(console)[0] == "valid job tiny on /walks[a]/[/old].csv, seed 0"


def test_the_page_of_a_document(console: Console) -> None:
    screens.document_page(console, make_spec(BASELINE))
    assert lines(console) == [
        "valid job tiny on digits, seed 0",
        "baseline GRU 8x1 lr 0.01",
        "space cell, hidden_size, learning_rate",
        "sampler tpe, pruner none",
        "budget 6 trials of up to 4 epochs",
        "confirm top 3 over 5 seeds",
    ]
