import io
import re
from collections.abc import Callable, Iterator

import pytest
from rich.console import Console

from search.common.trial import LiveTrial, Verdict
from search.database.lease import Lease
from search.database.store import Store
from search.document.spec import JobSpec
from search.driver.progress import Progress
from search.study.cost import Cost, Sizes
from search.study.forecast import Forecast
from search.study.study import JobStudy
from tests.search.conftest import asked, make_spec, open_study

SPEC = make_spec("baseline=[{cell: gru, hidden_size: 8, learning_rate: 0.01}]")


@pytest.fixture
def study(store: Store, owned: Callable[[Store, JobSpec], Lease]) -> Iterator[JobStudy]:
    made = open_study(store, owned(store, SPEC), SPEC)
    yield made
    made.shut()


def make_progress(*, terminal: bool) -> Progress:
    console = Console(file=io.StringIO(), width=160, force_terminal=terminal, color_system=None)
    return Progress(console, "tiny-0001", "/state[1]/[/b]")


def printed(progress: Progress) -> str:
    assert isinstance(progress.console.file, io.StringIO)
    return progress.console.file.getvalue()


def words(text: str) -> str:
    """Return a text without times and repeated spaces."""
    return re.sub(r"\d\d:\d\d:\d\d | about \d+ s of searching left", "", re.sub(" +", " ", text))


def begin(progress: Progress, study: JobStudy, stage: str = "searching") -> None:
    cost = Cost(Sizes(train=1149, validation=288, steps=8, inputs=8, outputs=10))
    progress.stage(stage, Forecast(study, cost, lambda: 0.0))


def start(progress: Progress, study: JobStudy) -> LiveTrial:
    live = asked(study)
    progress.asked(live)
    return live


def report(
    progress: Progress, study: JobStudy, live: LiveTrial, value: float, outcome: str
) -> None:
    epoch = live.acknowledged + 1
    metrics = {"val_accuracy": value, "val_loss": 1 - value, "epoch_s": 0.001}
    verdict = study.report(live.number, epoch, metrics, outcome)
    progress.reported(live, metrics, verdict)


def rendered(progress: Progress) -> str:
    """Return the live table as text."""
    console = Console(file=io.StringIO(), width=160)
    with console.capture() as capture:
        console.print(progress.render())
    return words(capture.get())


def test_without_a_terminal_each_ended_trial_leaves_a_line(study: JobStudy) -> None:
    with make_progress(terminal=False) as progress:
        begin(progress, study)
        live = start(progress, study)
        report(progress, study, live, 0.8, "running")
        report(progress, study, live, 0.7, "complete")
    shown = words(printed(progress))
    assert shown.splitlines()[:2] == ["job tiny-0001 state: /state[1]/[/b]", "searching"]
    assert (
        "trial 000 GRU 8x1 lr 0.01 complete after 2 epochs val_accuracy 0.8000 "
        "best 0.8000 (trial 000) 1/6"
    ) in shown
    assert len(shown.splitlines()) == 3
    assert "\x1b" not in printed(progress)


def test_how_many_run_at_once_is_said() -> None:
    progress = make_progress(terminal=False)
    for slots, gpus in ((1, 0.0), (8, 0.0), (0, 0.0), (3, 0.3333)):
        progress.room(slots, gpus)
    assert words(printed(progress)).splitlines() == [
        "1 trial at once",
        "8 trials at once",
        "no room: other jobs have all workers",
        "3 trials at once, 0.3333 GPU each",
    ]


def test_runs_that_confirm_are_not_taken_for_trials_of_the_search(study: JobStudy) -> None:
    study.searching = False
    with make_progress(terminal=False) as progress:
        begin(progress, study, "confirming")
        live = start(progress, study)
        progress.damaged(live, "a page is missing")
        report(progress, study, live, 0.8, "complete")
    shown = words(printed(progress))
    assert "\nconfirm 000 goes on from" in shown
    assert "\nconfirm 000 GRU 8x1 lr 0.01 complete after 1 epoch " in shown
    assert "best 0.8000 (confirm 000) 1/6 about 0 s of confirming left" in shown
    assert "trial" not in shown


def test_a_diverged_trial_has_no_value(study: JobStudy) -> None:
    progress = make_progress(terminal=False)
    begin(progress, study)
    live = start(progress, study)
    report(progress, study, live, float("nan"), "diverged")
    assert "diverged after 1 epoch val_accuracy – best – 1/6" in words(printed(progress))


def test_where_nothing_is_searched_each_epoch_leaves_a_line(study: JobStudy) -> None:
    study.trials = 1
    progress = make_progress(terminal=False)
    begin(progress, study)
    report(progress, study, start(progress, study), 0.8, "running")
    line = "GRU 8x1 lr 0.01 epoch 1/4 val_loss 0.2000 val_accuracy 0.8000"
    assert line in words(printed(progress))


def test_a_second_start_says_how_far_the_first_came(study: JobStudy) -> None:
    progress = make_progress(terminal=False)
    begin(progress, study)
    report(progress, study, start(progress, study), 0.8, "complete")
    begin(progress, study)
    assert "searching: going on after 1 of 6 trials" in printed(progress)
    assert progress.left() is None


def test_a_lost_trial_names_the_last_line_of_its_reason(study: JobStudy) -> None:
    progress = make_progress(terminal=False)
    begin(progress, study)
    live = start(progress, study)
    for again in (True, False):
        progress.asked(live)
        live.alone = again
        progress.lost(live, "Traceback\nMemoryError: [no] room\n", again=again)
    assert words(printed(progress)).splitlines()[1:] == [
        "trial 000 is tried again alone: MemoryError: [no] room",
        "trial 000 failed: MemoryError: [no] room",
    ]
    progress.lost(start(progress, study), "\n", again=True)
    assert printed(progress).endswith("no reason is known\n")


def test_a_trial_lost_when_the_budget_is_spent_is_not_called_failed(study: JobStudy) -> None:
    progress = make_progress(terminal=False)
    begin(progress, study)
    live = start(progress, study)
    study.close("hours")
    progress.lost(live, "the worker died", again=study.fail(live.number, "the worker died"))
    assert "trial 000 stopped (budget): the worker died" in words(printed(progress))


def test_a_damaged_checkpoint_is_told(study: JobStudy) -> None:
    progress = make_progress(terminal=False)
    begin(progress, study)
    progress.damaged(start(progress, study), "epoch-000002.pt does not match its checksum")
    assert words(printed(progress)).splitlines()[1:] == [
        "trial 000 goes on from an earlier epoch: epoch-000002.pt does not match its checksum"
    ]


def test_the_live_table_has_running_and_best_trials(study: JobStudy) -> None:
    progress = make_progress(terminal=True)
    begin(progress, study)
    for value in (0.8, 0.9, 0.9):
        report(progress, study, start(progress, study), value, "complete")
    live = start(progress, study)
    report(progress, study, live, 0.5, "running")
    shown = rendered(progress)
    assert "3/6 trials" in shown
    assert "4 epochs" in shown
    assert "best val_accuracy 0.9000 (trial 001)" in shown
    running, best = shown.split("best of this run")
    assert "003 " in running
    assert " 1/4 0.5000 0.5000 running" in running
    assert best.index("001 ") < best.index("000 GRU 8x1 lr 0.01 (baseline)")


def test_of_many_trials_that_have_ended_the_best_are_kept(study: JobStudy) -> None:
    progress = make_progress(terminal=True)
    begin(progress, study)
    for value in (0.3, 0.9, 0.1, 0.6, 0.7, 0.2):
        report(progress, study, start(progress, study), value, "complete")
    assert [row.best for row in progress.ended] == [0.9, 0.7, 0.6, 0.3, 0.2]
    assert progress.rows == {}
    shown = rendered(progress)
    assert "6/6 trials, 6 epochs" in shown
    assert "best val_accuracy 0.9000 (trial 001)" in shown


def test_the_live_table_before_a_study(study: JobStudy) -> None:
    progress = make_progress(terminal=True)
    progress.stage("measuring")
    progress.reported(asked(study), {}, Verdict.COMPLETE)
    assert rendered(progress) == "measuring …\n"


def test_a_terminal_gets_a_table_that_goes_away_and_no_line_a_trial(study: JobStudy) -> None:
    with make_progress(terminal=True) as progress:
        begin(progress, study)
        report(progress, study, start(progress, study), 0.8, "complete")
        progress.display.refresh()
        assert "best of this run" in printed(progress)
    assert "complete after" not in printed(progress)
    assert printed(progress).endswith("\x1b[2K")
