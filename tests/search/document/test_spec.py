"""What a document means: defaults, overrides, baselines and the settings of a trial."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from search.common.faults import SpecError
from search.document.spec import JobSpec, parse_job, read_job
from tests.search.document.written import DATA, job, space
from trainables.config import TrialConfig


def test_data_alone_gets_every_default() -> None:
    spec = parse_job(DATA)
    assert spec.name == "digits"
    assert list(spec.space) == ["cell", "hidden_size", "layers", "learning_rate", "dropout"]
    assert (spec.objective.metric, spec.objective.direction) == ("val_accuracy", "maximize")
    assert (spec.sampler.name, spec.pruner.name) == ("tpe", "successive-halving")
    assert (spec.budget.trials, spec.budget.hours, spec.budget.target) == (30, None, None)
    assert (spec.workers.cpus, spec.workers.gpus, spec.workers.concurrent) == (1.0, 0.0, "auto")
    assert (spec.confirm.top, spec.confirm.seeds, spec.seed, spec.baseline) == (3, 5, 0, [])


def test_baselines_may_fill_the_budget_and_names_their_length() -> None:
    spec = parse_job(job("baseline: [{}, {cell: gru}]"), ["budget.trials=2", f"name={'a' * 64}"])
    assert (spec.budget.trials, len(spec.name)) == (2, 64)


def test_whole_choices_of_a_number_are_numbers() -> None:
    text = parse_job(space("clip_norm: [null, 1]")).to_json()
    assert text == parse_job(space("clip_norm: [null, 1.0]")).to_json()


def test_direction_follows_from_the_metric() -> None:
    assert parse_job(DATA, ["objective.metric=val_loss"]).objective.direction == "minimize"


def test_default_space_leaves_out_what_training_fixes() -> None:
    spec = parse_job(job("training: {layers: 1, cell: gru}"))
    assert list(spec.space) == ["hidden_size", "learning_rate"]


def test_exponents_without_a_dot_are_numbers() -> None:
    spec = parse_job(job("training: {weight_decay: 1e-3}"))
    assert spec.config({}).weight_decay == 1e-3


@pytest.mark.parametrize(
    ("change", "path", "value"),
    [
        ("name=x", "name", "x"),
        ("data.source=mnist", "data.source", "mnist"),
        ("baseline.0.epochs=2", "baseline.0.epochs", 2),
        ("baseline.1={cell: gru}", "baseline.1.cell", "gru"),
        ("space.layers.high=9", "space.layers.high", 9),
        ("space.cell.choices=[gru, lstm]", "space.cell.choices.0", "gru"),
        ("training.clip_norm=null", "training.clip_norm", None),
        ("sampler.n_startup_trials=1", "sampler.n_startup_trials", 1),
        ("pruner=hyperband", "pruner.name", "hyperband"),
        ("workers.concurrent=2", "workers.concurrent", 2),
        ("budget.target=0.5", "budget.target", 0.5),
    ],
)
def test_override_reaches_every_key(change: str, path: str, value: object) -> None:
    text = job(
        "space: {layers: {low: 1, high: 3}, cell: {choices: [lstm, gru]}}",
        "baseline: [{}]",
        "sampler: tpe",
    )
    found: object = parse_job(text, [change]).model_dump()
    for key in path.split("."):
        found = found[int(key)] if isinstance(found, list) else found[key]  # type: ignore[index]
    assert found == value


def test_overrides_reach_into_the_default_space() -> None:
    assert parse_job(DATA, ["space.layers.high=5"]).space["layers"].high == 5  # type: ignore[union-attr]


def test_an_override_takes_a_setting_out_of_the_space() -> None:
    spec = parse_job(space("{cell: [lstm, gru], layers: [1, 2]}"), ["space.layers=null"])
    assert list(spec.space) == ["cell"]


def test_override_of_an_aliased_mapping_leaves_the_other_alone() -> None:
    text = job(
        "baseline: [&a {epochs: 2}, *a]",
        "space: {layers: &b [1, 2], epochs: *b}",
        "training: {cell: gru}",
    )
    spec = parse_job(text, ["baseline.1.epochs=1", "space.layers.0=3", "baseline.0.layers=3"])
    assert spec.baseline == [{"epochs": 2, "layers": 3}, {"epochs": 1}]
    assert [spec.space[name].grid for name in ("layers", "epochs")] == [[3, 2], [1, 2]]


FULL = job(
    "space:",
    "  layers: {low: 1, high: 3}",
    "  dropout: {low: 0, high: 0.5, step: 0.1, when: {layers: {at_least: 2, not: 3}}}",
    "  clip_norm: [null, 1, 2.5]",
    "baseline: [{layers: 2, dropout: 0.3, epochs: 9}, {layers: 1}]",
    "training: {dropout: 0.2}",
    "sampler: {name: qmc, qmc_type: halton}",
    "pruner: none",
)


def test_null_is_as_left_out_where_it_says_nothing_else() -> None:
    nulls = ["training.epochs", "budget.trials", "confirm.top", "workers.gpus", "objective.metric"]
    spec = parse_job(FULL, [f"{key}=null" for key in nulls] + ["space.layers.log=null"])
    assert spec == parse_job(FULL)
    always = parse_job(FULL, ["space.dropout.when=null", "training={}", "baseline=[]"])
    assert always.space["dropout"].when == {}


def test_patience_may_be_searched_and_asked_for() -> None:
    when = "dropout: {low: 0, high: 0.5, when: {patience: {at_least: 3}}}"
    spec = parse_job(FULL, [f"space={{patience: {{low: 2, high: 5}}, {when}}}", "baseline=[]"])
    assert list(spec.space["patience"].grid or ()) == [2, 3, 4, 5]


def test_json_round_trip() -> None:
    spec = parse_job(FULL)
    assert JobSpec.from_json(spec.to_json()) == spec
    assert JobSpec.from_json(spec.to_json()).to_json() == spec.to_json()


def test_a_job_of_an_older_version_with_fewer_rules_stays_readable() -> None:
    text = parse_job("data: {source: digits}").to_json()
    old = json.loads(text) | {"space": {"cell": ["gru"]}, "training": {"layers": 1, "dropout": 0.5}}
    assert JobSpec.from_json(json.dumps(old)).training["dropout"] == 0.5
    with pytest.raises(SpecError, match=r"training\.dropout: is between layers"):
        parse_job(json.dumps(old))
    with pytest.raises(SpecError, match="budgett: unknown key"):
        JobSpec.from_json(json.dumps(old | {"budgett": {}}))


def test_baselines_divide_into_parameters_and_overrides() -> None:
    assert parse_job(FULL).baselines() == [
        ({"layers": 2, "dropout": 0.3, "clip_norm": 1.0}, {"epochs": 9}),
        ({"layers": 1, "clip_norm": 1.0}, {}),
    ]


def test_config_puts_overrides_over_parameters_over_training() -> None:
    spec = parse_job(FULL)
    assert spec.config({"layers": 1}) == TrialConfig(layers=1, dropout=0.2)
    assert spec.config({"layers": 2, "dropout": 0.1}, {"layers": 3}).model_dump(
        include={"layers", "dropout"}
    ) == {"layers": 3, "dropout": 0.1}


def test_config_removes_a_samplers_rounding_error() -> None:
    spec = parse_job(FULL)
    assert spec.config({"dropout": 0.1 + 0.2}).dropout == 0.3


@pytest.mark.parametrize(
    ("document", "epochs"),
    [
        (job("training: {epochs: 9}"), 9),
        (space("epochs: {low: 2, high: 7}"), 7),
        (space("epochs: [2, 5]"), 5),
        (space("cell: [lstm, gru]; epochs: {choices: [2, 5], when: {cell: gru}}"), 6),
        (space("cell: [lstm, gru]; epochs: {low: 2, high: 5, when: {cell: gru}}"), 6),
    ],
)
def test_most_epochs(document: str, epochs: int) -> None:
    assert parse_job(document).most_epochs == epochs


def test_read_job_reads_a_file_with_overrides(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(DATA, encoding="utf-8")
    assert read_job(str(path), ["seed=7"]).seed == 7


def test_checking_a_document_imports_no_heavy_library() -> None:
    code = (
        "import sys; from search.document.spec import parse_job; "
        "parse_job('data: {source: digits}'); "
        "print(sorted({'torch', 'ray', 'mlflow', 'optuna'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
