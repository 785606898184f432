"""What `top` draws, at the widths that terminals have."""

import io
import time
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console, RenderableType

from search.commands.top_screen import Room, job_view, overview
from search.common.labels import BARS

BLUE, VERMILION = "38;2;0;114;178", "38;2;213;94;0"

WIDTHS = [40, 80, 95, 105, 115, 130, 200]

PARAMS = {"hidden_size": 64, "layers": 2, "learning_rate": 0.025, "dropout": 0.19}


def job(job_id: str = "mnist-rows-7f3a", **values: Any) -> dict[str, Any]:
    trials = {"complete": 8, "pruned": 4, "diverged": 0, "failed": 0, "running": 1, "waiting": 1}
    return {
        "id": job_id, "status": "running", "message": None, "owner": "ada",
        "created_at": time.time() - 200, "elapsed_s": 190.4, "left_s": 83.2,
        "objective": {"metric": "val_accuracy", "direction": "maximize"},
        "trials": {**trials, "total": 14, "budget": 30},
        "best_value": 0.9792, "best_by_cell": {"gru": 0.9722, "lstm": 0.9792},
        "best": {"trial": 7, "value": 0.9792, "params": {"cell": "lstm", **PARAMS}},
        "undelivered": 0, "mlflow_away": None,
    } | values  # fmt: skip


def listed(*jobs: dict[str, Any], **used: Any) -> dict[str, Any]:
    workers = {"trials": 2, "cpus": 2.0, "gpus": 0.0, "part": None} | used
    return {"place": "/home/[ada]", "running": 1, "queued": 2, "workers": workers, "jobs": [*jobs]}


def trial(number: int, cell: str, value: float | None, state: str = "complete") -> dict[str, Any]:
    name = f"{number:03d} {cell.upper()} 64x2 lr 0.025 dropout 0.19"
    return {
        "study": "mnist-rows-7f3a", "trial": number, "state": state, "best_epoch_value": value,
        "epochs": 3, "planned_epochs": 6, "cell": cell, "name": name,
        "params": {"cell": cell, **PARAMS}, "baseline": False,
    }  # fmt: skip


def drawn(shown: RenderableType, width: int, *, styles: bool = False) -> str:
    console = Console(
        file=io.StringIO(), width=width, record=True, force_terminal=True,
        color_system="truecolor", highlight=False, legacy_windows=False,
    )  # fmt: skip
    console.print(shown)
    return console.export_text(styles=styles)


def titles(text: str) -> list[str]:
    """Return the titles of the table of jobs."""
    return next(line for line in text.splitlines() if line.startswith("job")).split()


class TestAllJobs:
    @pytest.mark.parametrize("width", WIDTHS)
    def test_no_line_is_longer_than_the_terminal(self, width: int) -> None:
        jobs = [job("a-very-long-name-of-a-job-that-nobody-would-type-7f3a"), job("b")]
        text = drawn(overview(listed(*jobs, gpus=1.5, part=1.0), Room(width, 24)), width)
        assert max(map(cell_len, text.splitlines())) <= width

    @pytest.mark.parametrize(
        ("width", "columns"),
        [
            (40, "job status trials best"),
            (74, "job status trials best"),
            (80, "job status trials left LSTM GRU age"),
            (95, "job status trials left best LSTM GRU age"),
            (105, "job status trials left best LSTM GRU owner age"),
            (130, "job status trials left objective best LSTM GRU owner age"),
        ],
    )
    def test_narrow_terminals_have_fewer_columns(self, width: int, columns: str) -> None:
        text = drawn(overview(listed(job()), Room(width, 24)), width)
        assert titles(text) == columns.split()

    def test_a_row_says_all_of_a_job_at_80_columns(self) -> None:
        text = drawn(overview(listed(job("japanese-vowels-7f3a-b2")), Room(80, 24)), 80)
        row = text.splitlines()[-1].split()
        assert [part for part in row if "━" not in part and "╸" not in part] == [
            "japanese-vowels-7f3a-b2", "running", "12/30", "1:23", "min", "0.9792", "0.9722",
            "3", "min",
        ]  # fmt: skip

    def test_what_is_used(self) -> None:
        text = drawn(overview(listed(job(), gpus=1.5, part=0.75), Room(100, 24)), 100)
        assert text.startswith(
            "1 running · 2 queued · 2 trials at once on 2 CPUs and 1.5 GPUs · 75% of the shared Ray"
        )
        auto = drawn(overview(listed(job(), gpus=None), Room(80, 24)), 80)
        assert auto.startswith(
            "1 running · 2 queued · 2 trials at once on 2 CPUs and GPUs as needed\n"
        )
        alone = drawn(overview(listed(job(), trials=1, cpus=1.0), Room(80, 24)), 80)
        assert alone.startswith("1 running · 2 queued · 1 trial at once on 1 CPU\n")

    def test_each_cell_has_its_colour_and_its_name_and_the_better_is_bold(self) -> None:
        text = drawn(overview(listed(job()), Room(80, 24)), 80, styles=True)
        assert f"\x1b[1;{BLUE}m  LSTM" in text
        assert f"\x1b[1;{VERMILION}m   GRU" in text
        assert f"\x1b[1;{BLUE}m0.9792" in text
        assert f"\x1b[{VERMILION}m0.9722" in text

    @pytest.mark.parametrize(
        ("values", "direction", "bold"),
        [
            ({"lstm": 0.2, "gru": 0.4}, "minimize", "0.2000"),
            ({"lstm": 0.4, "gru": 0.4}, "minimize", None),
            ({"lstm": 0.4}, "maximize", None),
        ],
    )
    def test_the_better_is_that_of_the_objective(
        self, values: dict[str, float], direction: str, bold: str | None
    ) -> None:
        objective = {"metric": "val_loss", "direction": direction}
        shown = listed(job(best_by_cell=values, objective=objective))
        text = drawn(overview(shown, Room(80, 24)), 80, styles=True).splitlines()[-1]
        found = [part.split("\x1b")[0] for part in text.split(f"\x1b[1;{BLUE}m")[1:]]
        assert found == ([bold] if bold else [])

    @pytest.mark.parametrize(
        ("left_s", "said"), [(None, ""), (0.0, "finishing"), (83.2, "1:23 min")]
    )
    def test_the_time_left(self, left_s: float | None, said: str) -> None:
        text = drawn(overview(listed(job(left_s=left_s)), Room(80, 24)), 80)
        assert text.splitlines()[-1].partition("12/30")[2][:10].strip() == said

    def test_what_does_not_fit_is_counted(self) -> None:
        jobs = [job(f"job-{number}") for number in range(30)]
        lines = drawn(overview(listed(*jobs), Room(80, 23)), 80).splitlines()
        assert len(lines) <= 23
        assert lines[-1] == "… 12 more; `gatetune jobs` lists all"
        assert len(drawn(overview(listed(*jobs), Room(80, None)), 80).splitlines()) == 34


class TestOneJob:
    TRIALS = (
        trial(0, "lstm", 0.71),
        trial(1, "gru", 0.93),
        trial(2, "gru", 0.61, "pruned"),
        trial(3, "lstm", 0.97),
        trial(4, "gru", None, "failed"),
        trial(5, "gru", 0.95, "running"),
    )

    def view(self, width: int = 80, height: int | None = 23, **values: Any) -> str:
        shown = {"job": job(**values), "trials": list(self.TRIALS)}
        return drawn(job_view(shown, Room(width, height)), width)

    @pytest.mark.parametrize("width", WIDTHS)
    def test_no_line_is_longer_than_the_terminal(self, width: int) -> None:
        text = self.view(width, message="its driver was ended, " * 20)
        assert max(map(cell_len, text.splitlines())) <= width

    def test_progress_and_best(self) -> None:
        lines = [" ".join(line.split()) for line in self.view().splitlines()]
        assert lines[0] == "mnist-rows-7f3a running ada 3 min old"
        assert lines[1].endswith("12/30 trials 3:10 min, about 1:23 min left")
        assert lines[2] == "best val_accuracy 0.9792 (trial 7) LSTM 0.9792 GRU 0.9722"
        assert lines[3] == "cell=lstm hidden_size=64 layers=2 learning_rate=0.025 dropout=0.19"

    def test_running_and_best_trials(self) -> None:
        lines = [" ".join(line.split()) for line in self.view().splitlines()]
        assert "005 GRU 64x2 lr 0.025 dropout 0.19 3/6 0.9500" in lines
        best = [line.split()[0] for line in lines if line.endswith(("complete", "pruned"))]
        assert best == ["003", "001", "000", "002"]

    def test_the_line_of_the_best_rises_in_the_colours_of_its_cells(self) -> None:
        assert f"best so far {BARS[0]}{BARS[4]}{BARS[4]}{BARS[7]}{BARS[7]} 0.7100 to 0.9700" in (
            self.view()
        )
        shown = {"job": job(), "trials": list(self.TRIALS)}
        text = drawn(job_view(shown, Room(80, 23)), 80, styles=True)
        assert f"\x1b[{VERMILION}m{BARS[4]}" in text
        assert f"\x1b[{BLUE}m{BARS[7]}" in text

    def test_wide_terminals_have_the_parameters_too(self) -> None:
        assert "hidden_size=64 layers=2" in self.view(140).splitlines()[8]
        assert "parameters" not in self.view(100)

    def test_many_trials_fit_the_height(self) -> None:
        running = [trial(100 + number, "gru", 0.5, "running") for number in range(40)]
        shown = {"job": job(), "trials": [*self.TRIALS, *running]}
        lines = drawn(job_view(shown, Room(80, 23)), 80).splitlines()
        assert len(lines) <= 23
        assert "best trials" in "\n".join(lines)
        assert lines[-1] == "MLflow has all of it"

    def test_the_confirmation_is_a_stage_of_its_own(self) -> None:
        again = trial(0, "lstm", 0.97) | {"study": "mnist-rows-7f3a/confirm"}
        shown = {"job": job(), "trials": [*self.TRIALS, again]}
        assert "confirming, 1 run done" in drawn(job_view(shown, Room(80, 23)), 80)

    @pytest.mark.parametrize(
        ("values", "said"),
        [
            ({}, "MLflow has all of it"),
            ({"undelivered": 1}, "1 record waits for MLflow"),
            ({"undelivered": 4}, "4 records wait for MLflow"),
        ],
    )
    def test_what_mlflow_waits_for(self, values: dict[str, Any], said: str) -> None:
        assert self.view(**values).splitlines()[-1] == said

    def test_since_when_mlflow_is_away(self) -> None:
        away = {"since": time.time() - 61.2, "error": "refused"}
        last = self.view(undelivered=9, mlflow_away=away).splitlines()[-1]
        assert last == "MLflow does not answer since 1:01 min; 9 records wait"

    def test_before_the_first_trial(self) -> None:
        trials = dict.fromkeys(job()["trials"], 0) | {"budget": 30}
        new = job(trials=trials, best=None, best_by_cell={}, left_s=None, status="queued")
        text = drawn(job_view({"job": new, "trials": []}, Room(80, 23)), 80)
        assert "no epoch yet" in text
        assert "running" not in text
