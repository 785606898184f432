import pytest
import torch
from torch import nn

from trainables.tracing import OPERATIONS, known_shapes


@pytest.mark.filterwarnings("ignore:The tensor attributes .*_flat_weights")  # as `export` says
@pytest.mark.parametrize("layer", [nn.LSTM, nn.GRU])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_no_step_is_gone_through(
    layer: type[nn.LSTM | nn.GRU], bidirectional: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = layer(3, 4, num_layers=2, batch_first=True, bidirectional=bidirectional)
    x = torch.randn(2, 7, 3)
    with monkeypatch.context() as patch, known_shapes():
        for name in ("one_layer_lstm", "one_layer_rnn"):
            patch.delattr(f"torch._decomp.decompositions.{name}")
        program = torch.export.export(network, (x,))
    operations = [str(node.target) for node in program.graph.nodes]
    assert {"aten.lstm.input", "aten.gru.input"} & set(operations)
    torch.testing.assert_close(program.module()(x), network(x))


def test_nothing_of_it_is_left() -> None:
    with known_shapes():
        during = [dict(one.py_kernels) for one in OPERATIONS]
    after = [dict(one.py_kernels) for one in OPERATIONS]
    with pytest.raises(KeyError), known_shapes():
        raise KeyError
    assert [dict(one.py_kernels) for one in OPERATIONS] == after
    assert all(one != other for one, other in zip(during, after, strict=True))
