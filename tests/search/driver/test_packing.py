"""Which part of a GPU a trial gets: worked out here, and told of GPUs that are not at hand."""

from dataclasses import replace

import pytest

from search.document.spec import JobSpec
from search.driver.packing import (
    CONTEXT_MB,
    MOST,
    PLANNED,
    SMALLEST_MB,
    UNSURE,
    WORKSPACE_MB,
    Packing,
    held_mb,
    largest,
)
from search.study.cost import TYPICAL
from tests.search.conftest import make_spec

GPU = [{"CPU": 64.0, "GPU": 1.0}]
SPACE = "space={cell: [lstm, gru], hidden_size: {low: 8, high: 256}, layers: [1, 3, 2]}"


def spec(*overrides: str) -> JobSpec:
    return make_spec("training={epochs: 4}", SPACE, "workers.gpus=auto", *overrides)


def part(packing: Packing) -> float:
    return packing.workers(GPU).sure_gpus


def test_the_largest_configuration_has_the_ends_that_take_the_most() -> None:
    found = largest(spec(), TYPICAL)
    assert (found.cell, found.hidden_size, found.layers) == ("lstm", 256, 3)
    beyond = spec("baseline=[{hidden_size: 256, layers: 3, bidirectional: true}]")
    assert largest(beyond, TYPICAL).bidirectional


def test_the_largest_configuration_may_lie_where_a_smaller_number_lets_another_count() -> None:
    wide = "hidden_size: {low: 8, high: 2048, when: {layers: {at_most: 2}}}"
    found = largest(spec(f"space={{layers: {{low: 1, high: 6}}, {wide}}}"), TYPICAL)
    assert (found.hidden_size, found.layers) == (2048, 2)


@pytest.mark.parametrize(
    "more",
    [
        {"hidden_size": 256},
        {"layers": 3},
        {"bidirectional": True},
        {"cell": "lstm"},
        {"batch_size": 500},
        {"head": "all-steps"},
    ],
)
def test_what_is_held_grows_with_all_that_it_depends_on(more: dict[str, object]) -> None:
    small = spec().config({"cell": "gru", "hidden_size": 64, "layers": 2}, {"head": "last"})
    assert held_mb(small.model_copy(update=more), TYPICAL) > held_mb(small, TYPICAL)


def test_of_a_gpu_of_which_nothing_is_known_little_is_hoped_for() -> None:
    job = spec("training={epochs: 4, batch_size: 2000}")
    packing = Packing(job, TYPICAL)
    held = CONTEXT_MB + UNSURE * (WORKSPACE_MB + packing.most_mb)
    assert int(PLANNED * SMALLEST_MB / held) == 2
    assert part(packing) == 0.5
    packing.learn(largest(job, TYPICAL), 2800.0, 16_000.0)
    assert part(packing) == 0.25  # of 14,400 MB, 3,600 with what CUDA takes


def test_a_small_trial_alone_does_not_tell_that_the_largest_needs_less() -> None:
    job = spec("training={epochs: 4, batch_size: 1600}")
    packing = Packing(job, TYPICAL)
    packing.learn(job.config({"cell": "gru", "hidden_size": 8, "layers": 1}), 10.0, 8000.0)
    assert packing.off == UNSURE
    packing.learn(largest(job, TYPICAL), 900.0, 8000.0)
    assert 0 < packing.off < 1


def test_unequal_lengths_have_a_graph_each() -> None:
    one, varies = (
        spec().config({"cell": "lstm", "hidden_size": 256}, {}),
        replace(TYPICAL, varies=True),
    )
    assert held_mb(one, varies) > 3 * held_mb(one, TYPICAL)


def test_what_a_trial_tells_may_be_more_than_was_feared() -> None:
    packing = Packing(spec(), TYPICAL)
    assert part(packing) < 1
    packing.learn(largest(spec(), TYPICAL), 5000.0, 8000.0)
    assert part(packing) == 1


def test_the_smallest_gpu_counts() -> None:
    packing = Packing(spec(), TYPICAL)
    packing.learn(largest(spec(), TYPICAL), 2800.0, 16_000.0)
    packing.learn(largest(spec(), TYPICAL), 2800.0, 8000.0)
    assert part(packing) == 0.5


def test_of_the_largest_trial_follows_what_the_largest_configuration_needs() -> None:
    job = spec()
    small = job.config({"cell": "gru", "hidden_size": 8, "layers": 1})
    packing = Packing(job, TYPICAL)
    packing.learn(largest(job, TYPICAL), 2800.0, 16_000.0)
    packing.learn(small, 9000.0, 16_000.0)
    assert part(packing) == 0.25
    packing.learn(largest(job, TYPICAL), 5600.0, 16_000.0)
    assert part(packing) == 0.5


def test_a_little_smaller_part_is_not_worth_new_workers() -> None:
    packing = Packing(spec(), TYPICAL)
    middle = spec().config({"cell": "lstm", "hidden_size": 255, "layers": 3})
    packing.learn(middle, 2800.0, 16_000.0)
    before = part(packing)
    packing.learn(largest(spec(), TYPICAL), 2200.0, 16_000.0)
    assert part(packing) == before


def test_only_so_many_share_a_gpu_and_none_where_it_is_too_small() -> None:
    packing = Packing(spec(), TYPICAL)
    packing.learn(largest(spec(), TYPICAL), 100.0, 1_000_000.0)
    assert part(packing) == 1 / MOST
    packing.learn(largest(spec(), TYPICAL), 15_000.0, 16_000.0)
    assert part(packing) == 1


def test_parts_are_such_as_ray_can_place() -> None:
    packing = Packing(spec(), TYPICAL)
    packing.learn(largest(spec(), TYPICAL), 4000.0, 16_000.0)
    assert part(packing) == 0.3333


def test_a_gpu_beside_too_few_processors_is_none() -> None:
    packing = Packing(spec("workers.cpus=8"), TYPICAL)
    assert packing.workers([{"CPU": 4.0, "GPU": 1.0}, {"CPU": 16.0}]).gpus == 0


def test_without_a_gpu_there_is_none_to_share() -> None:
    packing = Packing(spec(), TYPICAL)
    assert packing.workers([{"CPU": 8.0}]).gpus == 0


def test_what_the_document_says_is_left() -> None:
    packing = Packing(spec("workers.gpus=0.5"), TYPICAL)
    packing.learn(largest(spec(), TYPICAL), 100.0, 16_000.0)
    assert packing.workers(GPU).gpus == 0.5
