import pytest
import torch

from tests.search.conftest import make_spec
from trainables.cells import RecurrentNetwork
from trainables.datasets import Shape
from trainables.footprint import footprint


@pytest.mark.parametrize("varies", [False, True])
def test_what_a_network_costs_to_run(*, varies: bool) -> None:
    spec, shape = make_spec(), Shape(steps=5, inputs=3, outputs=2, varies=varies)
    head = "mean" if varies else "last"
    small, large = (
        RecurrentNetwork(
            spec.config({"cell": "gru", "hidden_size": size, "layers": 1, "head": head}), shape
        )
        for size in (4, 8)
    )
    threads = torch.get_num_threads()

    found = footprint(small, shape)

    assert found.weights == 3 * (4 * 3 + 4 * 4 + 2 * 4) + 2 * (4 + 1)
    assert found.size_mb == pytest.approx(4e-6 * found.weights)
    assert found.latency_ms > 0
    assert footprint(large, shape).weights > found.weights
    assert torch.get_num_threads() == threads
