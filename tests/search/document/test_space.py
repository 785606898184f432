import json
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.document.samplers import make_sampler
from search.document.space import Space
from search.document.spec import JobSpec, parse_job
from trainables.config import Parameters


def spec_of(space: object, **training: object) -> JobSpec:
    document = {"data": {"source": "digits"}, "space": space, "training": training}
    return parse_job(json.dumps(document))


def space_of(space: object, **training: object) -> Space:
    return Space.of(spec_of(space, **training))


NESTED = {
    "dropout": {"low": 0.0, "high": 0.5, "step": 0.25, "when": {"head": "last"}},
    "head": {"choices": ["last", "mean"], "when": {"layers": {"at_least": 2, "below": 4}}},
    "layers": {"low": 1, "high": 4},
}


def test_parents_come_first_and_else_the_documents_order() -> None:
    assert space_of(NESTED).names == ("layers", "head", "dropout")
    assert space_of({"cell": ["gru"], "layers": [1]}).names == ("cell", "layers")


def test_children_are_inactive_where_their_parents_are() -> None:
    found = list(space_of(NESTED).configurations())
    assert [c for c in found if c["layers"] in {1, 4}] == [{"layers": 1}, {"layers": 4}]
    assert found[1] == {"layers": 2, "head": "last", "dropout": 0.0}
    assert [c for c in found if c.get("head") == "mean"] == [
        {"layers": 2, "head": "mean"},
        {"layers": 3, "head": "mean"},
    ]
    assert space_of(NESTED).size == len(found) == 10


def test_a_range_inside_a_condition_may_have_one_value_left() -> None:
    layers = {"low": 1, "high": 2}
    for condition in ({"above": 1}, {"at_least": 2}, {"not": 1}, 2, [2, 9], {"not": [1, 9]}):
        cell = {"choices": ["gru"], "when": {"layers": condition}}
        space = space_of({"layers": layers, "cell": cell})
        assert list(space.configurations()) == [
            {"layers": 1},
            {"layers": 2, "cell": "gru"},
        ]


@pytest.mark.parametrize(
    ("condition", "possible"),
    [
        ({"above": 0.5}, False),
        ({"at_least": 0.5}, True),
        ({"below": 0.0}, False),
        ({"at_most": 0}, True),
        ({"above": 0.2, "below": 0.2}, False),
        ({"above": 0.2, "at_most": 0.3, "not": [0.3, 0.25]}, True),
        ({"at_least": 0.2, "at_most": 0.2, "not": 0.2}, False),
        (0.3, True),
        (0.6, False),
    ],
)
def test_a_condition_on_a_continuum(condition: object, *, possible: bool) -> None:
    cell = {"choices": ["gru"], "when": {"dropout": condition}}
    document = {"dropout": {"low": 0.0, "high": 0.5}, "cell": cell}
    if possible:
        assert space_of(document).is_conditional
    else:
        with pytest.raises(ValueError, match=r"space.cell.when.dropout: can never hold"):
            space_of(document)


def test_a_condition_on_a_fixed_setting_always_holds_or_is_a_fault() -> None:
    space = {"weight_decay": {"low": 0.0, "high": 1.0, "when": {"optimizer": "adamw"}}}
    found = space_of(space, optimizer="adamw")
    assert found.is_active("weight_decay", {})
    assert not found.is_conditional


def test_null_and_true_are_values_like_others() -> None:
    space = {
        "clip_norm": [None, 1.0],
        "bidirectional": [True, False],
        "layers": {"choices": [1, 2], "when": {"clip_norm": {"not": None}, "bidirectional": True}},
    }
    assert space_of(space).size == 5


@pytest.mark.parametrize(
    ("space", "size"),
    [
        ({"learning_rate": {"low": 0.1, "high": 0.2}}, None),
        ({"learning_rate": {"low": 0.1, "high": 0.1}}, 1),
        ({"dropout": {"low": 0.0, "high": 0.9, "step": 0.1}}, 10),
        ({"hidden_size": {"low": 32, "high": 256, "step": 32}, "cell": ["lstm", "gru"]}, 16),
        (
            {"batch_size": {"low": 1, "high": 10**6}, "hidden_size": {"low": 1, "high": 8192}},
            8192 * 10**6,
        ),
    ],
)
def test_size(space: object, size: int | None) -> None:
    assert space_of(space).size == size


def test_an_infinite_space_is_not_listed() -> None:
    endless = space_of({"learning_rate": {"low": 0.1, "high": 0.2}}).configurations()
    with pytest.raises(ValueError, match="must be finite to be listed"):
        next(endless)


def test_a_condition_does_not_see_the_rounding_errors_of_a_grid() -> None:
    layers = {"low": 1, "high": 3, "when": {"dropout": {"at_most": 0.3}}}
    space = space_of({"dropout": {"low": 0.0, "high": 0.9, "step": 0.1}, "layers": layers})
    assert 3 * 0.1 > 0.3
    assert space.holds({"dropout": 3 * 0.1, "layers": 2})
    assert not space.holds({"dropout": 4 * 0.1, "layers": 2})


def test_distributions_follow_the_order_of_suggest() -> None:
    space = space_of(NESTED)
    found = space.distributions({"dropout": 0.25, "head": "last", "layers": 2})
    assert list(found) == ["layers", "head", "dropout"]
    assert found["dropout"] == optuna.distributions.FloatDistribution(0.0, 0.5, step=0.25)
    assert found["head"] == optuna.distributions.CategoricalDistribution(["last", "mean"])
    assert found["layers"] == optuna.distributions.IntDistribution(1, 4)


@st.composite
def spaces(draw: st.DrawFn) -> dict[str, Any]:
    """Finite spaces of up to four settings, each one on condition of the one before or none."""

    def ranged(low: int, width: int, step: int) -> dict[str, Any]:
        return {"low": low, "high": low + width * step, "step": step}

    small = st.integers(1, 4)
    layers = ranged(draw(small), draw(small), draw(small))
    dropout = {"low": 0.1, "high": round(0.1 + 0.1 * draw(small), 1), "step": 0.1}
    cells = draw(st.lists(st.sampled_from(["lstm", "gru"]), min_size=1, unique=True))
    heads = draw(st.lists(st.sampled_from(["last", "mean", "all-steps"]), min_size=1, unique=True))
    first = st.sampled_from([layers["low"], {"at_most": layers["low"]}, {"not": layers["high"]}])
    return {
        "head": {"choices": heads, "when": draw(conditions("dropout", {"below": 0.15}))},
        "dropout": dropout | {"when": draw(conditions("cell", cells[0]))},
        "cell": {"choices": cells, "when": draw(conditions("layers", draw(first)))},
        "layers": layers,
    }


def conditions(other: str, condition: object) -> st.SearchStrategy[dict[str, object]]:
    return st.sampled_from([{}, {other: condition}])


def key(parameters: Parameters) -> tuple[tuple[str, object], ...]:
    return tuple(sorted(parameters.items()))


@given(spaces(), st.integers(0, 2**32 - 1))
@settings(max_examples=60)
def test_any_space_reads_back_counts_itself_and_holds_what_it_suggests(
    document: dict[str, Any], seed: int
) -> None:
    spec = spec_of(document)
    assert JobSpec.from_json(spec.to_json()) == spec
    space = Space.of(spec)
    every = {key(configuration) for configuration in space.configurations()}
    assert space.size == len(every) == len(list(space.configurations()))
    study = optuna.create_study(sampler=make_sampler(spec, seed))
    trial = study.ask()
    chosen = space.suggest(trial)
    assert key(chosen) in every
    assert trial.distributions == space.distributions(chosen)
    assert spec.config(chosen).model_dump().items() >= chosen.items()
