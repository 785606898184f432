import pytest
import torch
from torch import Tensor

from tests.trainables.conftest import small
from trainables.augment import Augment
from trainables.batches import Batch


def batch(lengths: Tensor | None = None) -> Batch:
    """Return four ramps of ten steps: the value is the step, its mask is its parity."""
    ramp = torch.arange(10.0).expand(4, -1)
    return Batch(torch.stack((ramp, ramp % 2), dim=2), lengths, torch.zeros(4))


def augment(given: Batch, **settings: float) -> Tensor:
    torch.manual_seed(0)
    return Augment(small(**settings), values=1)(given).x


def test_nothing_changes_unless_it_is_asked_for() -> None:
    given = batch()
    assert Augment(small(), values=1)(given).x is given.x


def test_a_shift_moves_by_whole_steps_and_repeats_the_ends() -> None:
    found = augment(batch(), augment_shift=0.3)
    moved = (found - batch().x)[:, :, 0]
    assert len({tuple(row) for row in moved.tolist()}) > 1
    for row in found[:, :, 0]:
        step = int(row[5]) - 5
        assert abs(step) <= 3
        assert row.tolist() == [float(min(9, max(0, at + step))) for at in range(10)]
    assert torch.equal(found[:, :, 1], found[:, :, 0] % 2)


@pytest.mark.parametrize("warp", [0.3, 0.99])
def test_a_warp_keeps_both_ends_and_the_order(warp: float) -> None:
    found = augment(batch(), augment_warp=warp)[:, :, 0]
    assert found[:, 0].tolist() == [0.0] * 4
    torch.testing.assert_close(found[:, -1], torch.full((4,), 9.0))
    assert (found.diff(dim=1) > 0).all()
    assert (found != batch().x[:, :, 0]).any(1).all()


def test_nothing_comes_in_from_behind_a_sequence() -> None:
    lengths = torch.tensor([3, 5, 10, 1])
    found = augment(batch(lengths), augment_shift=0.9, augment_warp=0.9)[:, :, 0]
    for row, length in zip(found, lengths.tolist(), strict=True):
        assert row.max() <= length - 1


def test_scale_and_noise_leave_alone_what_was_missing() -> None:
    given = batch()
    scaled = augment(given, augment_scale=0.5)
    ratio = (scaled / given.x)[:, 1:, 0]
    assert torch.allclose(ratio, ratio[:, :1])
    assert len(set(ratio[:, 0].tolist())) == 4
    noisy = augment(given, augment_noise=0.5) - given.x
    assert noisy[:, :, 0].std().item() == pytest.approx(0.5, abs=0.2)
    for found in (scaled, augment(given, augment_noise=0.5)):
        assert torch.equal(found[:, :, 1], given.x[:, :, 1])


def test_the_same_seed_changes_the_same() -> None:
    settings = {
        "augment_shift": 0.2, "augment_warp": 0.2, "augment_scale": 0.2, "augment_noise": 0.2,
    }  # fmt: skip
    assert torch.equal(augment(batch(), **settings), augment(batch(), **settings))
