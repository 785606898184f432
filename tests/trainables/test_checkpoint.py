import threading
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open

from tests.trainables.conftest import MakeTrainer
from trainables.checkpoint import Checkpoints, DamagedError


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path / "trial")


def test_reads_what_a_trainer_wrote(checkpoints: Checkpoints, make_trainer: MakeTrainer) -> None:
    trainer = make_trainer()
    metrics = trainer.run_epoch()

    checkpoints.write(1, {"metrics": metrics, "trainer": trainer.state()})

    read = checkpoints.read(1)
    assert read is not None
    assert read["metrics"] == metrics
    assert torch.equal(
        read["trainer"]["best_weights"]["linear.weight"], trainer.model.linear.weight
    )


def test_keeps_the_two_newest(checkpoints: Checkpoints) -> None:
    assert checkpoints.latest() == 0

    for epoch in (1, 2, 10):
        checkpoints.write(epoch, {"epoch": epoch})

    assert checkpoints.epochs() == [2, 10]
    assert checkpoints.latest() == 10
    assert checkpoints.read(1) is None


def test_a_newer_damaged_epoch_does_not_push_out_the_one_just_written(
    checkpoints: Checkpoints,
) -> None:
    for epoch in (5, 6):
        checkpoints.write(epoch, {})
        checkpoints.path(epoch).write_bytes(b"damaged")

    checkpoints.write(1, {"epoch": 1})

    assert checkpoints.read(1) == {"epoch": 1}


@pytest.mark.parametrize("kept_bytes", [0, 10, 700])
def test_a_torn_file_is_damaged(checkpoints: Checkpoints, kept_bytes: int) -> None:
    checkpoints.write(1, {"weights": torch.ones(1000)})
    whole = checkpoints.path(1).read_bytes()

    checkpoints.path(1).write_bytes(whole[:kept_bytes])

    with pytest.raises(DamagedError, match=r"epoch-000001.pt does not match its checksum"):
        checkpoints.read(1)


@given(content=st.binary(max_size=400))
def test_any_bytes_are_damaged_and_nothing_worse(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    checkpoints = Checkpoints(tmp_path_factory.mktemp("trial"))
    checkpoints.path(1).write_bytes(content)
    checkpoints.best.write_bytes(content)

    with pytest.raises(DamagedError):
        checkpoints.read(1)
    with pytest.raises(DamagedError):
        checkpoints.read_best()


@given(place=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_a_flipped_bit_never_becomes_a_weight(
    place: int, bit: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    checkpoints = Checkpoints(tmp_path_factory.mktemp("trial"))
    checkpoints.write(1, {"weights": torch.ones(100)})
    checkpoints.write_best({"w": torch.ones(100)}, epoch=1, value=0.5)

    for path in (checkpoints.path(1), checkpoints.best):
        content = bytearray(path.read_bytes())
        content[place % len(content)] ^= 1 << bit
        path.write_bytes(content)

    with pytest.raises(DamagedError):
        checkpoints.read(1)
    try:
        read = checkpoints.read_best()
    except DamagedError:
        return
    assert torch.equal(read["w"], torch.ones(100))  # the bit was one of the description


def test_a_write_that_fails_leaves_the_old_file(checkpoints: Checkpoints) -> None:
    checkpoints.write(1, {"value": 1})

    with pytest.raises(TypeError, match="pickle"):
        checkpoints.write(1, {"value": threading.Lock()})

    assert checkpoints.read(1) == {"value": 1}
    assert [path.name for path in checkpoints.folder.iterdir()] == ["epoch-000001.pt"]


def test_clears_epochs_and_the_rest_of_a_killed_write(checkpoints: Checkpoints) -> None:
    checkpoints.write(1, {})
    checkpoints.write(2, {})
    (checkpoints.folder / ".epoch-000003.pt.99.tmp").touch()
    checkpoints.write_best({"w": torch.ones(2)}, epoch=2, value=0.5)

    checkpoints.clear_epochs(keep=2)
    assert checkpoints.epochs() == [2]

    checkpoints.clear_epochs()
    assert [path.name for path in checkpoints.folder.iterdir()] == ["best.safetensors"]


def test_the_best_weights_say_where_they_are_from(checkpoints: Checkpoints) -> None:
    checkpoints.write_best({"w": torch.arange(3.0)}, epoch=4, value=0.875)

    assert torch.equal(checkpoints.read_best()["w"], torch.arange(3.0))
    with safe_open(checkpoints.best, framework="pt") as file:
        assert file.metadata().items() >= {"epoch": "4", "value": "0.875"}.items()


def test_no_best_weights_before_the_end(checkpoints: Checkpoints) -> None:
    with pytest.raises(FileNotFoundError, match=r"best\.safetensors"):
        checkpoints.read_best()
