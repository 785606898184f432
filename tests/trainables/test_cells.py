import pytest
import torch
from torch import Tensor, nn

from tests.trainables.conftest import small
from trainables.cells import RecurrentNetwork
from trainables.config import TrialConfig
from trainables.datasets import Shape


def network(config: TrialConfig, *, varies: bool = False) -> RecurrentNetwork:
    torch.manual_seed(0)
    return RecurrentNetwork(config, Shape(steps=5, inputs=3, outputs=4, varies=varies))


def sequences() -> Tensor:
    return torch.randn(6, 5, 3, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("head", ["all-steps", "last", "mean"])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_every_weight_learns(cell: str, head: str, bidirectional: bool) -> None:
    model = network(small(cell=cell, head=head, bidirectional=bidirectional, layers=2, dropout=0.1))

    logits = model(sequences())
    logits.square().sum().backward()

    assert logits.shape == (6, 4)
    for name, weight in model.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.abs().sum() > 0, name


@pytest.mark.parametrize(("cell", "kind"), [("lstm", nn.LSTM), ("gru", nn.GRU)])
def test_the_cell_is_torchs(cell: str, kind: type[nn.Module]) -> None:
    stack = network(small(cell=cell, layers=3)).stack
    assert [isinstance(layers, kind) for layers in stack] == [True]


def test_last_takes_each_direction_where_it_has_read_everything() -> None:
    model = network(small(cell="gru", head="last", bidirectional=True))

    _, final = model.stack[0](sequences())

    torch.testing.assert_close(
        model(sequences()), model.linear(torch.cat((final[0], final[1]), dim=1))
    )


def test_last_of_one_direction_is_the_final_state() -> None:
    model = network(small(cell="lstm", head="last"))

    _, (final, _) = model.stack[0](sequences())

    torch.testing.assert_close(model(sequences()), model.linear(final[0]))


def test_mean_and_all_steps_see_every_step() -> None:
    mean, everything = network(small(head="mean")), network(small(head="all-steps"))

    outputs = mean.stack[0](sequences())[0]
    torch.testing.assert_close(mean(sequences()), mean.linear(outputs.mean(1)))

    outputs = everything.stack[0](sequences())[0]
    torch.testing.assert_close(everything(sequences()), everything.linear(outputs.flatten(1)))


def test_layers_apart_for_dropout_are_the_same_stack() -> None:
    apart = network(small(layers=3, dropout=0.5, bidirectional=True)).eval()
    whole = network(small(layers=3, bidirectional=True)).eval()
    weights = {
        name.replace(f"stack.{place}.", "stack.0.").replace("_l0", f"_l{place}"): weight
        for place in range(3)
        for name, weight in apart.state_dict().items()
        if name.startswith(f"stack.{place}.")
    }
    whole.load_state_dict(weights | {n: w for n, w in apart.state_dict().items() if "linear" in n})

    torch.testing.assert_close(apart(sequences()), whole(sequences()))


def test_dropout_is_between_layers_and_follows_torchs_seed() -> None:
    model = network(small(layers=2, dropout=0.5))

    def answer(seed: int) -> Tensor:
        torch.manual_seed(seed)
        answer: Tensor = model(sequences())
        return answer

    assert torch.equal(answer(1), answer(1))
    assert not torch.equal(answer(1), answer(2))
    model.eval()
    assert torch.equal(answer(1), answer(2))


def test_one_layer_has_nothing_to_drop() -> None:
    model = network(small(layers=1, dropout=0.5))

    assert torch.equal(model(sequences()), model(sequences()))


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("head", ["last", "mean"])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_padding_changes_nothing(cell: str, head: str, bidirectional: bool) -> None:
    config = small(cell=cell, head=head, bidirectional=bidirectional, layers=2, dropout=0.1)
    model = network(config, varies=True).eval()
    x, lengths = sequences(), torch.tensor([5, 1, 3, 4, 2, 5])

    together = model(x, lengths)
    x[1, 1:] = 1e6

    torch.testing.assert_close(model(x, lengths), together)
    for row, length in enumerate(lengths.tolist()):
        alone = model(x[row : row + 1, :length], torch.tensor([length]))
        torch.testing.assert_close(alone[0], together[row])


def test_both_ways_is_torchs_bidirectional_layer() -> None:
    config = small(cell="lstm", head="last", bidirectional=True)
    ours, theirs = network(config, varies=True), network(config)
    weights = {}
    for name, weight in ours.state_dict().items():
        place = name.replace(".onward.", ".")
        if ".back." in name:
            place = f"{name.replace('.back.', '.')}_reverse"
        weights[place] = weight
    theirs.load_state_dict(weights)

    everything = torch.full((6,), 5)

    torch.testing.assert_close(ours(sequences(), everything), theirs(sequences()))
