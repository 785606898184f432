import pytest
import yaml

from dashboards.console.form import changed, placed, typed, values_of
from search.common.faults import SpecError
from search.document.spec import parse_job

DOCUMENT = """\
# What it is about.
name: digits
data: {source: digits}   # small ones
space:
  cell: [lstm, gru]
  learning_rate: {low: 1.0e-3, high: 1.0e-2, log: true}
budget: {trials: 8}
"""


def test_a_field_changes_one_key_and_leaves_the_rest_as_it_was() -> None:
    made = changed(DOCUMENT, "budget.trials", "12")
    assert made == DOCUMENT.replace("trials: 8", "trials: 12")
    assert values_of(made)["budget.trials"] == "12"


@pytest.mark.parametrize(
    ("part", "value", "found"),
    [
        ("confirm.seeds", "3", ("confirm", {"seeds": 3})),
        ("seed", "7", ("seed", 7)),
        ("sampler", "random", ("sampler", "random")),
        ("training.epochs", "9", ("training", {"epochs": 9})),
        ("objective.metric", "val_loss", ("objective", {"metric": "val_loss"})),
    ],
)
def test_a_key_that_was_not_there(part: str, value: str, found: tuple[str, object]) -> None:
    assert yaml.safe_load(changed(DOCUMENT, part, value))[found[0]] == found[1]


def test_a_key_goes_with_its_text_and_a_range_with_one_of_its_ends() -> None:
    assert "budget" not in changed(DOCUMENT, "budget.trials", "")
    assert "learning_rate" not in changed(DOCUMENT, "space.learning_rate.low", "")
    assert "cell" not in changed(DOCUMENT, "space.cell", [])
    assert changed(DOCUMENT, "budget.hours", "") == DOCUMENT


def test_a_range_of_a_document_without_a_space_leaves_the_rest_of_the_default_one() -> None:
    bare = "data: {source: digits}\ntraining: {layers: 1}\n"
    spec = parse_job(changed(bare, "space.hidden_size.high", "64"))
    same = parse_job(bare, ["space.hidden_size.high=64"])
    assert (spec.space, len(spec.space)) == (same.space, 3)
    assert "high: 64" not in changed(bare, "space.learning_rate.low", "0.001")


def test_a_space_of_nothing_is_a_fault_and_not_the_default_one() -> None:
    emptied = changed("data: {source: digits}\nspace: {cell: [gru]}\n", "space.cell", [])
    with pytest.raises(SpecError, match="space: must be a mapping of at least one setting"):
        parse_job(emptied)


def test_what_an_alias_makes_stand_twice_is_changed_in_one_place() -> None:
    said = """\
data: {source: digits}
base: &b {layers: {low: 1, high: 4}}
space:
  <<: *b
  hidden_size: &r {low: 16, high: 64}
  cell: &c [lstm, gru]
other: {size: *r, cell: *c}
"""
    changes: tuple[tuple[str, str | list[str]], ...] = (
        ("space.layers.high", "3"), ("space.hidden_size.high", "32"), ("space.cell", ["gru"])
    )  # fmt: skip
    for part, value in changes:
        said = changed(said, part, value)
    made = yaml.safe_load(said)
    assert made["base"] == {"layers": {"low": 1, "high": 4}}
    assert made["other"] == {"size": {"low": 16, "high": 64}, "cell": ["lstm", "gru"]}
    assert made["space"] == {
        "layers": {"low": 1, "high": 3}, "hidden_size": {"low": 16, "high": 32}, "cell": ["gru"],
    }  # fmt: skip


def test_a_new_range_is_a_whole_one() -> None:
    spec = parse_job(changed(DOCUMENT, "space.layers.high", "2"))
    assert spec.space["layers"].model_dump(exclude_defaults=True) == {"low": 1, "high": 2}


def test_the_direction_follows_from_a_metric_that_is_chosen() -> None:
    said = DOCUMENT + "objective: {metric: val_accuracy, direction: maximize}\n"
    spec = parse_job(changed(said, "objective.metric", "val_loss"))
    assert spec.objective.direction == "minimize"


@pytest.mark.parametrize(
    ("text", "value"),
    [("3", 3), ("1e-3", 0.001), ("0.5", 0.5), ("", None), ("lstm", "lstm"), ("[1", "[1"),
     ("{a: 1}", "{a: 1}"), ("2024-01-01", "2024-01-01"), ("yes", True), ("nan", "nan"),
     ("2024-02-30", "2024-02-30"), ("0x_", "0x_"), ("!!bool x", "!!bool x"),
     (".inf", ".inf"), ("1:30", "1:30")],
)  # fmt: skip
def test_what_is_typed_is_read_as_yaml_reads_it(text: str, value: object) -> None:
    assert typed(text) == value


@pytest.mark.parametrize("name", ["no", "null", "12", "1e3"])
def test_a_name_is_what_is_typed(name: str) -> None:
    assert parse_job(changed(DOCUMENT, "name", name)).name == name


def test_a_document_that_is_nested_deep() -> None:
    deep = DOCUMENT + "baseline: " + "[" * 300 + "]" * 300 + "\n"
    with pytest.raises(SpecError, match="document"):
        changed(deep, "seed", "1")


@pytest.mark.parametrize("text", ["a: [", "- 1", "a: &a [*a]", "x" * 70_000])
def test_a_document_that_cannot_be_read_has_no_fields_and_takes_no_change(text: str) -> None:
    assert values_of(text) == {}
    with pytest.raises(SpecError, match="document"):
        changed(text, "seed", "1")


def test_a_number_that_python_writes_in_no_digits_is_shown_all_the_same() -> None:
    shown = values_of(f"budget: {{trials: 0x{'f' * 4400}}}")
    assert str(shown["budget.trials"]).startswith("0xfff")


def test_a_sampler_with_options_is_shown_by_its_name() -> None:
    found = values_of(DOCUMENT + "sampler: {name: tpe, startup: 5}\n")
    assert found["sampler"] == "tpe"
    assert found["space.cell"] == ["lstm", "gru"]
    assert found["space.learning_rate.low"] == "0.001"


def test_faults_stand_at_their_fields() -> None:
    at_field, rest = placed((
        "budget.trials: must be at least 1, but got 0",
        "space.hidden_size.low: must be a number",
        "space.learning_rate: low <= high must hold",
        "budgett: unknown key; did you mean budget?",
    ))  # fmt: skip
    assert at_field == {
        "budget.trials": ["must be at least 1, but got 0"],
        "space.hidden_size.low": ["must be a number"],
        "space.learning_rate": ["low <= high must hold"],
    }
    assert rest == ["budgett: unknown key; did you mean budget?"]
