"""Documents that are written for data run as they are, and suit the data."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from search.commands.cli import app
from search.common.faults import SpecError
from search.common.home import Home
from search.document.spec import JobSpec, read_job
from search.drafting.drafting import Draft, draft
from search.drafting.expectation import JOB_S, REPORT_S
from search.drafting.survey import data_of, survey
from search.jobs.jobs import NotPossibleError
from search.jobs.loading import check_source, load_data
from tests.search.jobs.test_loading import write_walks
from trainables.faults import DatasetError


def made(path: Path, *overrides: str) -> JobSpec:
    """Return the job that is written for data; it must load them."""
    _, document = draft(path, overrides, None)
    spec = read_job(document)
    check_source(spec.data)
    load_data(spec, Home.from_environment())
    return spec


def walks(path: Path, count: int, *, steps: int = 4, share: float = 0.5) -> Path:
    """Write walks of two classes, the second with a share of them."""
    y = (np.arange(count) < share * count).astype(int)
    np.savez(path, x=np.random.default_rng(0).normal(size=(count, steps, 1)), y=y)
    return path


def test_few_sequences(tmp_path: Path, home: Path) -> None:
    spec = made(walks(tmp_path / "My walks.npz", 100))
    assert (spec.name, spec.task) == ("my-walks", "classification")
    assert (spec.data.validation, spec.objective.metric) == (0.2, "val_loss")
    assert (spec.training["batch_size"], spec.training["epochs"]) == (16, 100)
    assert (spec.budget.trials, spec.confirm.top, len(spec.baseline)) == (40, 5, 2)


def test_a_split_that_leaves_nothing_is_one_message(tmp_path: Path, home: Path) -> None:
    with pytest.raises(DatasetError, match="would hold out 12 and leave 0"):
        made(walks(tmp_path / "t.npz", 12), "data.test_share=0.96")


def test_a_job_takes_its_time_however_many_processors_there_are(tmp_path: Path) -> None:
    data, _ = data_of(walks(tmp_path / "t.npz", 100), ())
    found = survey(tmp_path / "t.npz", data)
    few, many = (Draft(found, "./t.npz", {}, tmp_path, processors=n) for n in (1, 10**6))
    assert few.text() != many.text()
    assert many.seconds() == pytest.approx(JOB_S, rel=0.01)
    trials = 0.75 * 38 + 2 + 6 * 5
    assert few.seconds() > JOB_S + trials * few.epochs * REPORT_S


def test_many_sequences(tmp_path: Path, home: Path) -> None:
    spec = made(walks(tmp_path / "many.npz", 30_000))
    assert (spec.data.validation, spec.objective.metric) == (0.1, "val_accuracy")
    assert (spec.training["batch_size"], spec.training["epochs"]) == (128, 9)
    assert spec.most_epochs == 9


def test_classes_of_unequal_size(tmp_path: Path, home: Path) -> None:
    assert made(walks(tmp_path / "t.npz", 30_000, share=0.1)).objective.metric == "val_macro_f1"


def test_unequal_lengths_have_no_head_of_all_steps(tmp_path: Path, home: Path) -> None:
    write_walks(tmp_path / "t.npz", lengths=True)
    assert "all-steps" not in str(made(tmp_path / "t.npz").space["head"])
    write_walks(tmp_path / "equal.npz")
    assert "all-steps" in str(made(tmp_path / "equal.npz").space["head"])


def test_numbers_and_missing_values(tmp_path: Path, home: Path) -> None:
    x = np.random.default_rng(0).normal(size=(40, 5, 2))
    x[3, 2, 1] = np.nan
    np.savez(tmp_path / "t.npz", x=x, y=x[:, 0, 0])
    spec = made(tmp_path / "t.npz")
    assert (spec.task, spec.objective.metric) == ("regression", "val_mse")
    assert (spec.data.missing, spec.data.mask) == ("forward", True)
    (tmp_path / "t.yaml").unlink()
    assert made(tmp_path / "t.npz", "data.missing=zero").data.mask is False
    (tmp_path / "t.yaml").unlink()
    spec = made(tmp_path / "t.npz", "data.mask=false")
    assert (spec.data.missing, spec.data.mask) == ("forward", False)


def test_what_was_asked_for_stands_in_the_document_though_it_is_the_default(
    tmp_path: Path, home: Path
) -> None:
    assert made(walks(tmp_path / "t.npz", 100), "data.validation=0.1").data.validation == 0.1


@pytest.mark.parametrize("name", ["123", "2024-01-02", "1e5", "true", "no"])
def test_a_file_may_be_called_as_yaml_writes_something_else(
    tmp_path: Path, home: Path, name: str
) -> None:
    assert made(walks(tmp_path / f"{name}.npz", 100)).name == name


def test_of_several_numbers_none_counts_more_for_its_unit(tmp_path: Path, home: Path) -> None:
    x = np.random.default_rng(0).normal(size=(40, 5, 2))
    np.savez(tmp_path / "t.npz", x=x, y=x[:, 0] * [1000, 0.1])
    assert made(tmp_path / "t.npz").objective.metric == "val_r2"


def test_what_cannot_be_guessed_goes_into_the_document(tmp_path: Path, home: Path) -> None:
    rows = "".join(f"{n % 7},{n % 5},{'ab'[n % 2]}\n" for n in range(40))
    (tmp_path / "t.csv").write_text(f"v0,v1,kind\n{rows}")
    with pytest.raises(DatasetError, match=r"data\.label: must name the column"):
        made(tmp_path / "t.csv")
    assert not (tmp_path / "t.yaml").exists()
    assert made(tmp_path / "t.csv", "data.label=kind").data.label == "kind"


def test_whole_numbers_are_learned_as_numbers_where_that_is_said(
    tmp_path: Path, home: Path
) -> None:
    assert made(walks(tmp_path / "t.npz", 40), "task=regression").task == "regression"


def test_a_folder_of_two_parts_gives_its_name(tmp_path: Path, home: Path) -> None:
    write_walks(tmp_path / "Walks_TRAIN.npz")
    write_walks(tmp_path / "Walks_TEST.npz")
    assert made(tmp_path).name == "walks"
    assert "source: ./\n" in (tmp_path / "Walks.yaml").read_text()


def test_so_much_work_is_cut_to_a_first_search(tmp_path: Path, home: Path) -> None:
    path = walks(tmp_path / "t.npz", 2000, steps=2000)
    spec = made(path)
    assert (spec.budget.trials, spec.confirm.top) == (12, 1)
    assert " h on " in (tmp_path / "t.yaml").read_text().splitlines()[1]


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["init", *arguments])


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    walks(tmp_path / "t.npz", 40)
    first = call("t.npz")
    assert first.exit_code == 0
    assert first.output.endswith("t.yaml is written; `gatetune launch t.yaml` runs it\n")
    name = f"my [first] job {'x' * 80}.yaml"
    blank = call("t.npz", "--to", name)
    assert blank.output.endswith(f"\n{name} is written; `gatetune launch '{name}'` runs it\n")
    assert (
        f"# Written by `gatetune init`. `gatetune launch '{name}'` runs it"
        in (tmp_path / name).read_text()
    )
    again = call("t.npz")
    assert (again.exit_code, again.output) == (
        2, "gatetune: t.yaml is there already; --to names another file\n",
    )  # fmt: skip
    (tmp_path / "jobs").mkdir()
    other = json.loads(call("t.npz", "--to", "jobs/mine.yaml", "--json").output)
    assert (other["document"], other["found"]["train"]) == ("jobs/mine.yaml", 40)
    assert "source: ../t.npz\n" in (tmp_path / "jobs" / "mine.yaml").read_text()


@pytest.mark.parametrize(
    ("override", "fault"),
    [
        ("budget.trials=3", "--set budget.trials=3: must be data.KEY=VALUE or task=TASK"),
        ("task=guess", "--set task=guess: must be classification or regression"),
        ("data.lable=x", "data.lable: unknown key; did you mean label?"),
        ("data.label", "--set data.label: must be KEY=VALUE"),
    ],
)
def test_bad_overrides(tmp_path: Path, override: str, fault: str) -> None:
    with pytest.raises(SpecError, match=fault.replace(".", r"\.").replace("?", r"\?")):
        draft(walks(tmp_path / "t.npz", 40), [override], None)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(NotPossibleError, match=r"nowhere/t\.yaml must be writable, but No such"):
        draft(walks(tmp_path / "t.npz", 40), [], tmp_path / "nowhere" / "t.yaml")


BROKEN = {
    "one class": ("id,speed,label\n" + "1,2,a\n2,3,a\n" * 9, "must have at least two classes"),
    "a label that is missing": (
        "v0,v1,label\n" + "1,2,a\n2,3,b\n" * 9 + "1,1,NA\n", "but 'NA' says that it is missing"
    ),
    "no file": (None, "must be a file or folder, but there is no t.csv"),
    "a class of one": (
        "v0,v1,label\n" + "1,2,a\n2,3,b\n" * 9 + "1,1,c\n", "the smallest class has 1"
    ),
    "a step without a sequence": (
        "run,time,speed,label\n" + "1,2,3,a\n2,3,4,b\n" * 9,
        "data.sequence: must name the column of t.csv that says to which sequence a row belongs",
    ),
    "a step and something else": (
        "v0,v1,v2,age,label\n" + "1,2,3,4,a\n2,3,4,5,b\n" * 9,
        "t.csv: must have columns of one kind, but age has no number of a step as v0 has",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_data_that_cannot_be_learned_get_one_message_and_no_document(
    case: str, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, message = BROKEN[case]
    monkeypatch.chdir(tmp_path)
    if content is not None:
        (tmp_path / "t.csv").write_text(content)
    found = call("t.csv")
    assert (found.exit_code, len(found.output.splitlines())) == (2, 1)
    assert message in found.output
    assert not (tmp_path / "t.yaml").exists()
    (tmp_path / "mine.yaml").write_text("data: {source: t.csv}\n")
    checked = CliRunner().invoke(app, ["check", "mine.yaml"])
    assert (checked.exit_code, len(checked.output.splitlines())) == (2, 1)
