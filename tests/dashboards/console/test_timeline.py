from dashboards.console.searched import Span
from dashboards.console.timeline import timeline
from tests.dashboards.console.searches import SOME, found


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
    assert "1 trial on 1 worker at once" in timeline(alone)["summary"]


def test_a_long_job_is_told_in_hours() -> None:
    long = found(("gru", "complete", [0.3]))
    long.spans[0] = Span(0, 10 * 3_600_000, "a")
    drawn = timeline(long)
    assert drawn["layout"]["xaxis"]["title"]["text"] == "hours since the first of them"
    assert drawn["data"][0]["x"] == [10.0]
