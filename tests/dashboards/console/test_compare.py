from dashboards.console.compare import best_so_far, differing, progress
from tests.dashboards.console.searches import SOME, found


def test_the_best_so_far_over_trials_and_minutes() -> None:
    job = found(("gru", "complete", [0.6]), ("gru", "pruned", [0.9]), ("lstm", "complete", [0.8]))
    assert best_so_far(job, in_minutes=False) == ([1.0, 2.0], [0.6, 0.8])
    assert best_so_far(job, in_minutes=True) == ([0.025, 0.058], [0.6, 0.8])
    job.spans.clear()
    assert best_so_far(job, in_minutes=True) == ([], [])


def test_jobs_of_another_objective_are_left_out() -> None:
    other = found(("gru", "complete", [0.6]))
    other.job.id = "other-0001"
    other.job.document = other.job.document.replace("val_accuracy", "val_loss").replace(
        "maximize", "minimize"
    )
    drawn = progress([SOME, other], in_minutes=False)
    assert [trace["name"] for trace in drawn["data"]] == ["tiny-0001"]
    assert "left out: other-0001." in drawn["summary"]
    assert dict(differing([SOME, other]))["objective.metric"] == ["val_accuracy", "val_loss"]


def test_nothing_to_compare_yet() -> None:
    assert progress([found()], in_minutes=False)["empty"]
    assert progress([], in_minutes=True)["empty"]
