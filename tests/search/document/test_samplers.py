import math
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.samplers import TPESampler
from optuna.search_space import IntersectionSearchSpace
from optuna.trial import TrialState, create_trial

from search.common.faults import SpecError
from search.document.samplers import SAMPLERS, make_sampler
from search.document.seeding import derive_seed
from search.document.space import Space
from search.document.spec import JobSpec, parse_job
from search.study.warming import without_history
from trainables.config import Parameters

JOBS = Path(__file__).parents[3] / "jobs"

FLAT = "hidden_size: {low: 32, high: 256}, learning_rate: {low: 1.0e-4, high: 0.1, log: true}"
CONDITIONAL = (
    "layers: {low: 1, high: 3}, cell: [lstm, gru], "
    "dropout: {low: 0.0, high: 0.5, step: 0.1, when: {layers: {at_least: 2}}}"
)


def job(space: str, sampler: str, **options: object) -> JobSpec:
    named = {"name": sampler, **options}
    return parse_job(f"{{data: {{source: digits}}, space: {{{space}}}, sampler: {named!r}}}")


def value(parameters: Parameters) -> float:
    """Return less the further the rate is from 0.01, the size from 160 and the decay from 0."""
    rate, size = parameters.get("learning_rate", 0.01), parameters.get("hidden_size", 160)
    assert isinstance(rate, float)
    assert isinstance(size, int)
    decay = parameters.get("weight_decay", 0.0)
    assert isinstance(decay, float)
    return -abs(math.log10(rate) + 2) - abs(size - 160) / 200 - decay


class Search:
    """A search as the engine does it: a new sampler for each draw, ends told to the storage."""

    def __init__(self, spec: JobSpec) -> None:
        self.spec = spec
        self.space = Space.of(spec)
        self.study = optuna.create_study(direction="maximize")
        self.storage: Any = self.study._storage

    def draw(self, number: int) -> Parameters:
        self.study.sampler = make_sampler(self.spec, derive_seed(0, number))
        trial = self.study.ask()
        chosen = self.space.suggest(trial)
        state, values = TrialState.COMPLETE, [value(chosen)]
        if number % 4 == 3:
            trial.report(math.nan, 1)
            state, values = TrialState.PRUNED, []
        self.storage.set_trial_state_values(trial._trial_id, state, values)
        return chosen

    def run(self, trials: int) -> list[Parameters]:
        return [self.draw(number) for number in range(trials)]


def mean(found: list[Parameters]) -> float:
    return sum(map(value, found)) / len(found)


def distinct(found: list[Parameters]) -> int:
    return len({tuple(sorted(p.items())) for p in found})


@pytest.mark.parametrize("name", [name for name in SAMPLERS if name not in {"gp", "grid"}])
def test_a_sampler_made_again_for_each_draw_goes_on(name: str) -> None:
    found = Search(job(FLAT, name)).run(30)
    assert distinct(found) >= 20
    assert found == Search(job(FLAT, name)).run(30)


@pytest.mark.parametrize("name", ["tpe", "random", "qmc", "nsga-ii", "grid"])
def test_a_sampler_knows_conditional_spaces(name: str) -> None:
    search = Search(job(CONDITIONAL, name))
    every = list(search.space.configurations())
    assert all(chosen in every for chosen in search.run(20))


@pytest.mark.parametrize(("name", "options"), [("tpe", {}), ("cma-es", {"popsize": 4})])
def test_a_sampler_made_again_for_each_draw_learns(name: str, options: dict[str, object]) -> None:
    found = Search(job(FLAT, name, **options)).run(40)
    assert mean(found[-10:]) > mean(Search(job(FLAT, "random")).run(40)) + 0.3


def test_gp_learns_at_once_in_one_dimension() -> None:
    found = Search(job("weight_decay: {low: 0.0, high: 1.0}", "gp", n_startup_trials=3)).run(6)
    assert max(map(value, found[3:])) > -0.05 > max(map(value, found[:3]))


def test_grid_tries_every_configuration_once() -> None:
    search = Search(job(CONDITIONAL, "grid"))
    assert search.space.size == 26
    assert distinct(search.run(26)) == 26


def test_qmc_follows_one_sequence_which_the_jobs_seed_shifts() -> None:
    space = "weight_decay: {low: 0.0, high: 1.0}"
    found = Search(job(space, "qmc")).run(16)
    cells = sorted(int(float(str(p["weight_decay"])) * 16) for p in found)
    assert cells == list(range(16))
    other = parse_job("data: {source: digits}", [f"space={{{space}}}", "sampler=qmc", "seed=1"])
    assert Search(other).run(1) != found[:1]


def test_qmc_gives_a_conditional_parameter_its_own_coordinate() -> None:
    search = Search(job("layers: [1, 2], dropout: {low: 0.0, high: 0.8, when: {layers: 2}}", "qmc"))
    found = [p["dropout"] for p in search.run(32) if "dropout" in p]
    assert len({int(float(str(rate)) * 10) for rate in found}) == 8


def test_cma_es_and_nsga_ii_remember_in_the_trials_alone() -> None:
    for name, options in (("cma-es", {"popsize": 4}), ("nsga-ii", {"population_size": 4})):
        search = Search(job(FLAT, name, **options))
        search.run(20)
        remembered = {key for trial in search.study.trials for key in trial.system_attrs}
        assert any("generation" in key for key in remembered)
        assert search.storage.get_study_system_attrs(search.study._study_id) == {}


@pytest.mark.parametrize("name", [name for name in SAMPLERS if name not in {"gp", "grid"}])
def test_a_draw_that_was_dropped_changes_no_later_one(name: str) -> None:
    whole, again = Search(job(FLAT, name)), Search(job(FLAT, name))
    for number in range(16):
        again.study.add_trial(create_trial(state=TrialState.FAIL))
        assert again.draw(number) == whole.draw(number)


def test_tpe_models_groups_in_conditional_spaces_only() -> None:
    for space, group in ((FLAT, False), (CONDITIONAL, True)):
        sampler = make_sampler(job(space, "tpe", n_startup_trials=3), 0)
        assert isinstance(sampler, TPESampler)
        assert (sampler._group, sampler._n_startup_trials) == (group, 3)


@pytest.mark.parametrize(("trials", "first"), [(1, 6), (12, 6), (30, 10), (36, 12), (1000, 12)])
def test_tpe_learns_after_a_third_of_the_trials(trials: int, first: int) -> None:
    spec = parse_job(f"{{data: {{source: digits}}, budget: {{trials: {trials}}}}}")
    sampler = make_sampler(spec, 0)
    assert isinstance(sampler, TPESampler)
    assert sampler._n_startup_trials == first


@pytest.mark.parametrize("path", sorted(JOBS.glob("*.yaml")), ids=lambda path: path.stem)
def test_of_every_example_tpe_draws_a_third_of_the_trials(path: Path) -> None:
    spec = parse_job(path.read_text("utf-8"))
    sampler = make_sampler(spec, 0)
    if isinstance(sampler, TPESampler):
        first = len(spec.baseline) + len(without_history(spec).first)
        first = max(first, sampler._n_startup_trials)
        assert 3 * (spec.budget.trials - first) >= spec.budget.trials


def test_tpe_draws_as_optunas_own_without_reading_every_trial(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    space = FLAT + ", cell: [lstm, gru], layers: {low: 2, high: 2}"
    ours = Search(job(space, "tpe")).run(30)
    monkeypatch.setattr(
        "search.document.sequences.WholeSpaceTpe.infer_relative_search_space",
        TPESampler.infer_relative_search_space,
    )
    assert Search(job(space, "tpe")).run(30) == ours
    monkeypatch.undo()
    monkeypatch.setattr(IntersectionSearchSpace, "calculate", None)
    assert Search(job(space, "tpe")).run(30) == ours


def test_every_option_that_optuna_calls_experimental_is_silent() -> None:
    for name, option in (
        ("cma-es", "use_separable_cma"),
        ("cma-es", "with_margin"),
        ("cma-es", "lr_adapt"),
        ("gp", "deterministic_objective"),
        ("tpe", "group"),
    ):
        assert make_sampler(job(FLAT, name, **{option: True}), 0)


@pytest.mark.parametrize(
    ("space", "sampler", "fault"),
    [
        (FLAT, "grid", "grid must have a list or a step for every parameter, but got a continuous"),
        (CONDITIONAL, "gp", "gp must have a space without conditions, but got `when` at dropout"),
        (CONDITIONAL, "cma-es", "cma-es must have ranges only, but got lists for cell"),
        (CONDITIONAL, "cma-es", "cma-es must have a space without conditions"),
        ("layers: {low: 1, high: 3}", "cma-es", "must have at least two ranges, but got layers"),
        ("layers: {low: 1, high: 1}, epochs: {low: 1, high: 2}", "cma-es", "but got epochs"),
        (FLAT, "{name: tpe, group: true, multivariate: false}", "tpe must be multivariate"),
        (
            FLAT,
            "{name: cma-es, with_margin: true, lr_adapt: true}",
            "must have at most one variant",
        ),
        (FLAT, "{name: nsga-ii, population_size: 31}", "population_size <= 30 trials, but got 31"),
        (FLAT, "{name: random, seed: 3}", "sampler.seed: unknown option of random; valid are name"),
        (FLAT, "{name: gp, n_startup_trials: 1.5}", "must be a whole number, but got 1.5"),
    ],
)
def test_what_a_sampler_cannot_do_is_refused(space: str, sampler: str, fault: str) -> None:
    with pytest.raises(SpecError, match="sampler") as caught:
        parse_job("data: {source: digits}", [f"space={{{space}}}", f"sampler={sampler}"])
    assert fault in str(caught.value)


def test_gp_is_refused_where_its_cost_explodes() -> None:
    with pytest.raises(SpecError, match=r"gp must have at most 1000 trials.*, but got 1001"):
        parse_job(
            "data: {source: digits}", [f"space={{{FLAT}}}", "sampler=gp", "budget.trials=1001"]
        )
