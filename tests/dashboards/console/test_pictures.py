import json

import pytest

from dashboards.console.drawing import CELLS, MOST, some
from dashboards.console.pictures import PICTURES, TITLES, curves, front, history, slices
from tests.dashboards.console.searches import SOME, found


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
    for picture in (history, slices):
        assert " of 1000 complete trials" in picture(many)["summary"]


def test_history_follows_the_best() -> None:
    drawn = history(SOME)
    assert drawn["data"][0]["y"] == [0.8, 0.8]
    assert drawn["summary"] == "2 complete trials; the best value went from 0.8000 to 0.8000."


def test_the_best_is_one_that_is_complete() -> None:
    drawn = curves(found(("gru", "diverged", [0.95]), ("lstm", "complete", [0.8])))
    assert "Best: trial 1, LSTM, 0.8000" in drawn["summary"]
    running = curves(found(("gru", "running", [0.4])))
    assert "Best so far: trial 0" in running["summary"]


def test_the_front_joins_what_nothing_beats() -> None:
    drawn = front(SOME, "weights")
    assert drawn["data"][-1]["x"] == [1000]
    assert drawn["summary"].startswith("1 of 2 complete trials")
