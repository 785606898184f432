import json
from dataclasses import replace
from typing import Any

import pytest

from dashboards.console.pictures import (
    CELLS,
    MOST,
    PICTURES,
    TITLES,
    curves,
    front,
    history,
    middle,
    parallel,
    scaled,
    some,
    timeline,
)
from dashboards.console.searched import Searched, Span
from search.tables import Job
from tests.search.conftest import make_spec

SPEC = make_spec()


def found(*trials: tuple[str, str, list[float]], **more: Any) -> Searched:
    """A search whose trials have a cell, a state, and a value an epoch."""
    rows = [
        {
            "study": "tiny-0001", "trial": number, "state": state, "cell": cell, "baseline": False,
            "value": max(values) if state == "complete" else None,
            "best_epoch_value": max(values, default=None), "epochs": len(values),
            "params": {"cell": cell, "hidden_size": number, "learning_rate": 2**number / 1000},
            "costs": {"weights": 1000 * (number + 1)},
        }
        for number, (cell, state, values) in enumerate(trials)
    ]  # fmt: skip
    job = Job(id="tiny-0001", document=SPEC.to_json(), revision=1, status="running")
    known = {number: tuple(values) for number, (_, _, values) in enumerate(trials)}
    spans = {number: Span(1000 * number, 1000 * number + 1500, "here") for number in known}
    return replace(Searched(job, rows, known, spans), **more)


SOME = found(
    ("lstm", "complete", [0.5, 0.8]),
    ("gru", "pruned", [0.4]),
    ("gru", "complete", [0.6, 0.7]),
    ("lstm", "running", [0.3]),
)


@pytest.mark.parametrize("name", list(PICTURES))
def test_a_picture_of_nothing_says_what_is_missing(name: str) -> None:
    drawn = PICTURES[name](found())
    assert drawn["data"] == []
    assert drawn["empty"].endswith(".")
    assert name in TITLES


@pytest.mark.parametrize("name", list(PICTURES))
def test_a_picture_has_titles_a_sentence_and_each_cell_in_its_colour(name: str) -> None:
    drawn = PICTURES[name](SOME)
    json.dumps(drawn, allow_nan=False)
    assert drawn["summary"].endswith(".")
    for trace in drawn["data"]:
        named = [cell for cell in CELLS if trace["name"].startswith(cell.upper())]
        for cell in named:
            colors = {trace.get("line", {}).get("color"), trace.get("marker", {}).get("color")}
            assert f"var(--{cell})" in colors
            assert not colors & {f"var(--{other})" for other in CELLS if other != cell}


def test_curves_fade_what_ended_early_and_name_the_best() -> None:
    drawn = {trace["name"]: trace for trace in curves(SOME)["data"]}
    assert drawn["GRU, ended early"]["opacity"] < drawn["GRU"]["opacity"]
    assert drawn["GRU, ended early"]["y"] == [0.4, None]
    assert drawn["best, trial 0"]["x"] == [1, 2, None]
    assert "Best: trial 0, LSTM, 0.8000" in curves(SOME)["summary"]


def test_a_value_that_is_no_number_is_left_out() -> None:
    drawn = curves(found(("gru", "diverged", [0.4, float("nan")]), ("gru", "complete", [0.5])))
    assert json.dumps(drawn, allow_nan=False)


def test_of_very_many_trials_the_best_and_some_others_are_drawn() -> None:
    many = found(*[("gru", "complete", [0.5, 0.5 + n / 10_000]) for n in range(1000)])
    drawn = curves(many)
    assert sum(trace["x"].count(None) for trace in drawn["data"]) <= MOST
    assert " of 1000 trials" in drawn["summary"]
    assert [row["trial"] for row in some(many.ranked)[:3]] == [999, 998, 997]


def test_history_follows_the_best() -> None:
    drawn = history(SOME)
    assert drawn["data"][0]["y"] == [0.8, 0.8]
    assert drawn["summary"] == "2 complete trials; the best value went from 0.8000 to 0.8000."


def test_lines_over_all_parameters() -> None:
    drawn = parallel(SOME)
    axes = drawn["layout"]["xaxis"]["ticktext"]
    assert axes == ["cell", "hidden size", "learning rate", "val accuracy"]
    (strong,) = [trace for trace in drawn["data"] if "best" in trace["name"]]
    assert strong["y"] == [1.0, 0.0, 0.0, 1.0, None]


@pytest.mark.parametrize(
    ("values", "places", "ticks"),
    [
        (["lstm", "gru", None], [1.0, 0.0, None], ["gru", "lstm"]),
        ([1, 3, 2], [0.0, 1.0, 0.5], ["1", "2", "3"]),
        ([0.001, 0.1, 0.01], [0.0, 1.0, 0.5], ["0.001", "0.01", "0.1"]),
        ([5, 5], [0.5, 0.5], ["5"]),
        ([True, False], [1.0, 0.0], ["False", "True"]),
        ([None, None], [None, None], []),
    ],
)
def test_an_axis(values: list[Any], places: list[float | None], ticks: list[str]) -> None:
    assert scaled(values)[0] == pytest.approx(places)
    assert [text for _, text in scaled(values)[1]] == ticks


def test_the_timeline_has_a_lane_for_each_that_ran_at_once() -> None:
    drawn = timeline(SOME)
    assert {lane for trace in drawn["data"] for lane in trace["y"]} == {"worker 1", "worker 2"}
    assert "4 trials on 2 workers at once" in drawn["summary"]


def test_a_trial_that_runs_keeps_its_lane_until_now() -> None:
    running = found(("gru", "running", [0.3]), ("lstm", "running", [0.3]), ("gru", "running", []))
    running.spans.update(
        {0: Span(0, None, "a"), 1: Span(1000, None, "a"), 2: Span(9000, None, "b")}
    )
    drawn = timeline(running, now_ms=10_000)
    assert {lane for trace in drawn["data"] for lane in trace["y"]} == {
        "worker 1", "worker 2", "worker 3",
    }  # fmt: skip
    assert [x for trace in drawn["data"] for x in trace["x"]] == [9.0, 10.0, 1.0]
    alone = found(("gru", "complete", [0.3]))
    assert "1 trials on 1 worker at once" in timeline(alone)["summary"]


def test_a_long_job_is_told_in_hours() -> None:
    long = found(("gru", "complete", [0.3]))
    long.spans[0] = Span(0, 10 * 3_600_000, "a")
    drawn = timeline(long)
    assert drawn["layout"]["xaxis"]["title"]["text"] == "hours since the first of them"
    assert drawn["data"][0]["x"] == [10.0]


def test_the_best_is_one_that_is_complete() -> None:
    drawn = curves(found(("gru", "diverged", [0.95]), ("lstm", "complete", [0.8])))
    assert "Best: trial 1, LSTM, 0.8000" in drawn["summary"]
    running = curves(found(("gru", "running", [0.4])))
    assert "Best so far: trial 0" in running["summary"]


def test_the_front_joins_what_nothing_beats() -> None:
    drawn = front(SOME, "weights")
    assert drawn["data"][-1]["x"] == [1000]
    assert drawn["summary"].startswith("1 of 2 complete trials")


def test_a_bad_tenth_does_not_squeeze_the_rest() -> None:
    values = [0.1, *(0.9 + n / 1000 for n in range(30))]
    low, high = middle(values, maximize=True) or (0, 0)
    assert low > 0.85
    assert high > 0.929
    assert middle(values[:5], maximize=True) is None
