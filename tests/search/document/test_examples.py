"""Each example job runs, cut down to what a test can afford."""

from pathlib import Path

import pytest

from tests.search.commands.test_main import run

JOBS = Path(__file__).parents[3] / "jobs"

SERIES = ["budget.trials=3", "training.epochs=2", "pruner=none", "confirm.top=0"]

SHORT = {
    "basic-motions": SERIES,
    "italy-power-demand": SERIES,
    "japanese-vowels": SERIES,
    "digits": ["budget.trials=3", "training.epochs=2", "confirm.seeds=1"],
    "mnist-5k": ["budget.trials=3", "training.epochs=1", "pruner=none", "confirm.top=0"],
    "notebook": ["data.source=digits"],
}


@pytest.mark.parametrize("path", sorted(JOBS.glob("*.yaml")), ids=lambda path: path.stem)
def test_example_job_runs(path: Path, home: Path) -> None:
    # One worker: each takes seconds to import PyTorch, and there is little to train.
    changes = [*SHORT[path.stem], "workers.concurrent=1"]
    overrides = [part for text in changes for part in ("--set", text)]
    shown = run("launch", str(path), *overrides)
    assert shown["status"] == "finished"
    assert shown["model"]["name"] == path.stem
    tested = [one["test_mean"] is not None for one in shown["compared"]]
    assert all(tested) or path.stem != "notebook"
