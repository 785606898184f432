"""What is wrong with a document is said of each key, all of it at once."""

import re
from pathlib import Path

import pytest

from search.common.faults import SpecError
from search.document.spec import parse_job, read_job
from tests.search.document.written import DATA, job, space


def fault_of(document: str, *overrides: str) -> str:
    with pytest.raises(SpecError, match="fault") as caught:
        parse_job(document, overrides)
    return "\n".join(caught.value.faults)


BAD_DOCUMENTS = [
    ("", "the document: must be a mapping of keys to values, but got nothing"),
    ("[1]", "the document: must be a mapping of keys to values, but got [1]"),
    ("data: [", "the document, line 1, column 8: must be YAML, but "),
    (f"{DATA}\n{DATA}", "the document, line 2: a key may stand only once, but got data twice"),
    ("1: 2", "the document, line 1: keys must be text, but got 1"),
    ("a: 2024-13-45", "the document: must be YAML, but month must be in 1..12"),
    ("[" * 1000, "the document: must be YAML, but it is nested too deep"),
    ("a: 1\n---\nb: 2", "line 2, column 1: must be YAML, but found another document"),
    ("a: \x00", "must be YAML, but unacceptable character"),
    ("a: !!python/object:os.system x", "could not determine a constructor"),
    (job('warm_start: ["\\ud800"]'), "warm_start.0: must be Unicode, but holds half of a"),
    ('data: {source: digits, "\\ud800": 1}', "data: must be Unicode, but holds half of a"),
    (
        space(f"[0x{'f' * 4400}]"),
        "space: must be a mapping of at least one setting to search, but got [0xff",
    ),
    ("seed: 1", "data: is required, such as {source: mnist-5k}"),
    ("data: digits", "data: must be a mapping, but got 'digits'"),
    ("data: {}", "data.source: is required"),
    ("data: {source: digit}", "(did you mean digits?), but got 'digit'"),
    (
        "data: {source: tomatoes}",
        "data.source: must be one of mnist, fashion-mnist, mnist-5k, digits",
    ),
    ("data: {source: digits, validaton: 0.1}", "unknown key; did you mean validation?"),
    (job("buget: {trials: 3}"), "buget: unknown key; did you mean budget?"),
    (job("zzz: 1"), "zzz: unknown key; valid are name, data, task"),
    (job("training: {hidden: 3}"), "training.hidden: unknown setting; did you mean hidden_size?"),
    (space("{layers: null}"), "space: must be a mapping of at least one setting to search, but"),
    (space("{cell: [lstm], layrs: null}"), "space.layrs: unknown setting; did you mean layers?"),
    (space("{}"), "space: must be a mapping of at least one setting to search, but got {}"),
    (space("hiden_size: [1]"), "space.hiden_size: unknown setting; did you mean hidden_size?"),
    (space("cell: []"), "space.cell.choices: must not be empty, but got []"),
    (space("cell: 3"), "space.cell: must be a list of values or a mapping with low and high"),
    (space("cell: {low: 1, high: 2}"), "space.cell: cell is no number, so it must be a list"),
    (space("cell: [lstm, lstm]"), "space.cell: choices must differ, but got 'lstm' twice"),
    (space("cell: [lstm, grru]"), "space.cell.1: cell must be one of lstm, gru, but got 'grru'"),
    (space("bidirectional: [yes, maybe]"), "bidirectional must be true or false, but got 'maybe'"),
    (space("layers: {low: 1}"), "space.layers.high: is required"),
    (space("layers: {low: 1, hgh: 2}"), "space.layers.hgh: unknown key; did you mean high?"),
    (space("layers: {low: 1.5, high: 3}"), "space.layers.low: must be a whole number, but got 1.5"),
    (space("layers: {low: 3, high: 1}"), "low <= high must hold, but got low=3, high=1"),
    (
        space("layers: {low: 1, high: 3, step: 0}"),
        "space.layers.step: must be at least 1, but got 0",
    ),
    (space("hidden_size: {low: 0, high: 8}"), "low: hidden_size must be at least 1, but got 0"),
    (space("hidden_size: {low: 1, high: 10, step: 4}"), "such as 9 or 13, but got 10"),
    (space("dropout: {low: 0, high: 1}"), "dropout must be less than 1, but got 1"),
    (space("dropout: {low: 0, high: 0.5, step: 1e-300}"), "step must leave at most 1000000 values"),
    (space("dropout: {low: .nan, high: 0.5}"), "low: must be a finite number, but got nan"),
    (space("weight_decay: {low: 0, high: 1, log: true}"), "low must be greater than 0 where log"),
    (
        space("dropout: {low: 0.1, high: 0.5, step: 0.1, log: true}"),
        "log and step exclude each other",
    ),
    (space("learning_rate: {low: 0.1, high: '1'}"), "but got '1' (write it without quotes)"),
    (space("layers: [1, 2]; dropout: {low: 0, high: 0.5, when: 3}"), "when: must be a mapping of"),
    (
        space("dropout: {low: 0, high: 0.5, when: {layer: 2}}"),
        "when.layer: unknown setting; did you",
    ),
    (space("dropout: {low: 0, high: 0.5, when: {layers: '2'}}"), "layers must be a whole number"),
    (space("dropout: {low: 0, high: 0.5, when: {layers: {}}}"), "must be a value, a list or a map"),
    (space("dropout: {low: 0, high: 0.5, when: {layers: []}}"), "must name at least one value"),
    (space("dropout: {low: 0, high: 0.5, when: {layers: {at_lest: 2}}}"), "did you mean at_least?"),
    (space("layers: {low: 1, high: 2, when: {cell: {above: 1}}}"), "cell is no number, so only"),
    (
        space("layers: [1, 2]; dropout: {low: 0, high: 0.5, when: {layers: {at_least: 3}}}"),
        "when.layers: can never hold: layers must be at least 3, but it is one of 1, 2",
    ),
    (
        space("weight_decay: {low: 0, high: 1, when: {optimizer: adamw}}"),
        "when.optimizer: can never hold: optimizer must be 'adamw', but it is 'adam'",
    ),
    (
        space(
            "layers: {low: 1, high: 3}; cell: {choices: [gru], when: {layers: {below: 3}}}; "
            "dropout: {low: 0, high: 0.5, when: {cell: gru, layers: 3}}"
        ),
        "layers must be below 3 and layers must be 3, but it is from 1 to 3",
    ),
    (
        space(
            "layers: {choices: [1, 2], when: {epochs: 2}}; "
            "epochs: {choices: [1, 2], when: {layers: 1}}"
        ),
        "space: conditions must not go in a circle, but got layers -> epochs -> layers",
    ),
    (job("training: {layers: 3}", "space: {layers: [1]}"), "training.layers: must not be fixed"),
    (
        job("training: {layers: 1, dropout: 0.1}", "space: {cell: [gru]}"),
        "training.dropout: is between layers, of which there is only one",
    ),
    (space("layers: [1]\n  dropout: [0.1, 0.2]"), "space.dropout: is between layers, of which"),
    (job("baseline: {cell: gru}"), "baseline: must be a list of mappings, but got"),
    (job("baseline: [3]"), "baseline.0: must be a mapping, but got 3"),
    (job("baseline: [{cel: gru}]"), "baseline.0.cel: unknown setting; did you mean cell?"),
    (job("baseline: [{epochs: 0}]"), "baseline.0.epochs: must be at least 1, but got 0"),
    (job("baseline: [{hidden_size: 100}]"), "must be from 32 to 256 in steps of 32, but got 100"),
    (
        space("hidden_size: {low: 8, high: 16}") + "\nbaseline: [{}]",
        "must be from 8 to 16, but got 128, which it has where the entry leaves it out",
    ),
    (
        job("baseline: [{layers: 1, dropout: 0.1}]"),
        "baseline.0.dropout: counts only when layers is at least 2, but got 0.1",
    ),
    (job("baseline: [{}, {layers: 2}]"), "baseline.1: entries must differ, but got baseline.0"),
]


@pytest.mark.parametrize(("document", "fault"), BAD_DOCUMENTS)
def test_bad_document(document: str, fault: str) -> None:
    assert fault in fault_of(document)


BAD_OVERRIDES = [
    ("task=regression", "task: must be classification for digits"),
    (
        "data.source=walks.csv; task=regression; objective.metric=val_accuracy",
        "must be one of val_loss, val_mse, val_mae, val_r2 for regression, but got val_accuracy",
    ),
    ("objective.metric=val_mse", "val_auroc for classification, but got val_mse"),
    (
        "data.source=walks.csv; task=regression; objective.metric=val_r2; budget.target=2",
        "budget.target: must be at most 1 for val_r2, but got 2",
    ),
    (
        "data.source=walks.csv; task=regression; training.class_weights=balanced",
        "training.class_weights: must not be given for regression",
    ),
    (
        "data.source=walks.csv; task=regression; training.label_smoothing=0.1",
        "training.label_smoothing: must not be given for regression",
    ),
    (
        "data.source=walks.csv; task=regression; space.label_smoothing=[0.0,0.1]",
        "space.label_smoothing: must not be given for regression",
    ),
    (
        "data.source=walks.csv; task=regression; baseline=[{label_smoothing: 0.1}]",
        "baseline.0.label_smoothing: must not be given for regression",
    ),
    ("data.label=3", "data.label: must be the name of a column, or a list of names, but got 3"),
    ("data.label=[y, 3]", "data.label: must be the name of a column, or a list of names, but got "),
    ("data.label=y", "data: label must not be given for digits, which is no file"),
    ("data={source: a.csv, group: g, time: t}", "data: group and time must not be given both"),
    ("data={source: a.csv, mask: true}", "data: mask must be false where missing is refuse"),
    ("a", "--set a: must be KEY=VALUE, such as budget.trials=10"),
    ("a..b=3", "--set a..b=3: must be KEY=VALUE"),
    ("seed=[1", "--set seed, line 1, column 3: must be YAML, but expected ',' or ']'"),
    ("baseline.5.cell=gru", "--set baseline.5.cell: must be an index from 0 to 0, but got 5"),
    (
        "data.source.x=1",
        "--set data.source.x: must lead through mappings and lists, but got 'digits'",
    ),
    ("seed=-1", "seed: must be at least 0, but got -1"),
    ("seed=1.5", "seed: must be a whole number, but got 1.5"),
    ("seed=true", "seed: must be a whole number, but got true"),
    (
        "name=Foo Bar",
        "name: must be 1 to 64 of a-z, 0-9, - and _, and begin with no -, but got 'Foo Bar'",
    ),
    (
        f"name={'a' * 65}",
        "name: must be 1 to 64 of a-z, 0-9, - and _, and begin with no -, but got 'aaa",
    ),
    ("name=2024-01-01", "name: must be text, but got 2024-01-01 (date)"),
    ("training.hidden_size=3.0", "training.hidden_size: must be a whole number, but got 3.0"),
    ("training.weight_decay=.inf", "training.weight_decay: must be a finite number, but got inf"),
    ("data.validation=0", "data.validation: must be greater than 0, but got 0"),
    ("data.validation=1", "data.validation: must be less than 1, but got 1"),
    ("budget.trials=0", "budget.trials: must be at least 1, but got 0"),
    ("budget={trials: 1, target: 0}", "above 0 and at most 1 for val_accuracy, but got 0"),
    ("objective={metric: val_loss}; budget.target=0", "must be above 0 for val_loss, but got 0"),
    ("budget.hours=0", "budget.hours: must be greater than 0, but got 0"),
    (
        "budget.target=1.5",
        "budget.target: must be above 0 and at most 1 for val_accuracy, but got 1.5",
    ),
    ("objective=val_loss", "objective: must be a mapping, but got 'val_loss'"),
    (
        "objective.metric=acc",
        "metric: must be one of val_accuracy, val_loss",
    ),
    ("objective.direction=minimize", "must be maximize for val_accuracy, but got 'minimize'"),
    ("workers.cpus=two", "workers.cpus: must be a number, but got 'two'"),
    ("workers.cpus=0", "workers.cpus: must be at least 0.0001, but got 0"),
    ("workers.gpus=-1", "workers.gpus: must be auto or a number of at least 0, but got -1"),
    ("workers.gpus=two", "workers.gpus: must be auto or a number of at least 0, but got 'two'"),
    ("workers.gpus=.inf", "workers.gpus: must be auto or a number of at least 0, but got inf"),
    ("workers.gpus=true", "workers.gpus: must be auto or a number of at least 0, but got true"),
    ("workers.cpus=1.0e-5", "workers.cpus: must be at least 0.0001, but got 1e-05"),
    (
        f"workers.gpus=1{'0' * 400}",
        "workers.gpus: must be from 0.0001 to 1000000 where it is not 0",
    ),
    ("name=--help", "name: must be 1 to 64 of a-z, 0-9, - and _, and begin with no -"),
    (f"baseline.{'1' * 5000}.layers=1", "must be an index from 0 to 0"),
    (
        "space.clip_norm={low: 1, high: 5, step: 1, log: true}",
        "space.clip_norm: log and step exclude each other, but got step=1",
    ),
    (
        "pruner={name: successive-halving, bootstrap_count: 4}; budget.trials=4",
        "successive-halving must have bootstrap_count below the 4 trials, but got 4",
    ),
    (
        "pruner={name: hyperband, bootstrap_count: 9}; budget.trials=4",
        "hyperband must have bootstrap_count below the 4 trials, but got 9",
    ),
    ("workers.gpus=1.5", "workers.gpus: must be a whole number where it is above 1, but got 1.5"),
    ("workers.concurrent=0", "concurrent: must be auto or a whole number of at least 1, but got 0"),
    ("workers.concurrent=true", "must be auto or a whole number of at least 1, but got true"),
    ("workers.epoch_limit_s=0", "workers.epoch_limit_s: must be greater than 0, but got 0"),
    ("confirm.top=-1", "confirm.top: must be at least 0, but got -1"),
    ("confirm.seeds=0", "confirm.seeds: must be at least 1, but got 0"),
    ("sampler=3", "sampler: must be a name or a mapping with the key name, but got 3"),
    ("sampler=annealing", "sampler.annealing: unknown sampler; valid are tpe, gp, cma-es"),
    (
        "sampler.n_startup=3",
        "sampler.n_startup: unknown option of tpe; did you mean n_startup_trials?",
    ),
    ("pruner=hyperbnd", "pruner.hyperbnd: unknown pruner; did you mean hyperband?"),
]


@pytest.mark.parametrize(("change", "fault"), BAD_OVERRIDES)
def test_bad_override(change: str, fault: str) -> None:
    assert fault in fault_of(DATA, *change.split("; "))


def test_all_faults_of_all_sections_come_at_once() -> None:
    faults = fault_of(
        job("buget: {}", "objective: {metric: val_loss}", "training: {epochs: x}", "seed: -1"),
        "confirm.seeds=0",
        "budget={trials: 1, target: -2}",
        "baseline=[{}, {cell: gru}]",
        "nonsense",
    ).splitlines()
    starts = [fault.partition(":")[0] for fault in faults]
    assert starts == [
        "--set nonsense",
        "buget",
        "training.epochs",
        "confirm.seeds",
        "seed",
        "budget.target",
        "budget.trials",
    ]


def test_message_lists_every_fault() -> None:
    with pytest.raises(SpecError, match=r"^2 faults:\n  seed: .*\n  confirm.top: ") as caught:
        raise SpecError(["seed: must be at least 0, but got -1", "confirm.top: is required"])
    assert len(caught.value.faults) == 2


def test_only_the_nearest_impossible_condition_is_named() -> None:
    faults = fault_of(
        space(
            "layers: [1, 2]; cell: {choices: [gru], when: {layers: 3}}; "
            "dropout: {low: 0, high: 0.5, when: {cell: gru}}"
        )
    )
    assert faults.splitlines() == [
        "space.cell.when.layers: can never hold: layers must be 3, but it is one of 1, 2"
    ]


def test_files_that_are_no_documents(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"name: \xe9")
    for name, reason in (
        ("missing.yaml", "there is no such file"),
        (".", "it is a directory"),
        ("latin.yaml", "must be UTF-8 text, but byte 6 is not"),
        ("nul\0.yaml", "must be readable, but embedded null byte"),
    ):
        with pytest.raises(SpecError, match=re.escape(reason)):
            read_job(tmp_path / name)
