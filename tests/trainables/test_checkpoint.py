import threading
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open

from tests.trainables.conftest import MakeTrainer
from trainables.checkpoint import BEST, Checkpoints, epoch_file
from trainables.folder import DamagedError, Folder, FolderError, LocalFolder, folder_at


@pytest.fixture
def checkpoints(folder: Folder) -> Checkpoints:
    return Checkpoints(folder)


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
        checkpoints.folder.write(epoch_file(epoch), b"damaged")

    checkpoints.write(1, {"epoch": 1})

    assert checkpoints.read(1) == {"epoch": 1}


@pytest.mark.parametrize("kept_bytes", [0, 10, 700])
def test_a_torn_file_is_damaged(checkpoints: Checkpoints, kept_bytes: int) -> None:
    checkpoints.write(1, {"weights": torch.ones(1000)})
    whole = checkpoints.folder.read(epoch_file(1))

    checkpoints.folder.write(epoch_file(1), whole[:kept_bytes])

    with pytest.raises(DamagedError, match=r"epoch-000001.pt does not match its checksum"):
        checkpoints.read(1)


@given(content=st.binary(max_size=400))
def test_any_bytes_are_damaged_and_nothing_worse(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    checkpoints = Checkpoints(LocalFolder(tmp_path_factory.mktemp("trial")))
    checkpoints.folder.write(epoch_file(1), content)
    checkpoints.folder.write(BEST, content)

    with pytest.raises(DamagedError):
        checkpoints.read(1)
    with pytest.raises(DamagedError):
        checkpoints.read_best()


@given(place=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_a_flipped_bit_never_becomes_a_weight(
    place: int, bit: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    checkpoints = Checkpoints(LocalFolder(tmp_path_factory.mktemp("trial")))
    checkpoints.write(1, {"weights": torch.ones(100)})
    checkpoints.write_best({"w": torch.ones(100)}, epoch=1, value=0.5)

    for name in (epoch_file(1), BEST):
        content = bytearray(checkpoints.folder.read(name))
        content[place % len(content)] ^= 1 << bit
        checkpoints.folder.write(name, bytes(content))

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
    assert checkpoints.folder.names() == ["epoch-000001.pt"]


def test_clears_the_rest_of_a_killed_write(tmp_path: Path) -> None:
    (tmp_path / ".epoch-000003.pt.99.tmp").touch()
    Checkpoints(LocalFolder(tmp_path)).clear_epochs()
    assert not tmp_path.exists()


def test_clears_epochs(checkpoints: Checkpoints) -> None:
    checkpoints.write(1, {})
    checkpoints.write(2, {})
    checkpoints.write_best({"w": torch.ones(2)}, epoch=2, value=0.5)

    checkpoints.clear_epochs(keep=2)
    assert checkpoints.epochs() == [2]

    checkpoints.clear_epochs()
    assert checkpoints.folder.names() == ["best.safetensors"]


def test_the_best_weights_say_where_they_are_from(checkpoints: Checkpoints, tmp_path: Path) -> None:
    checkpoints.write_best({"w": torch.arange(3.0)}, epoch=4, value=0.875)

    assert torch.equal(checkpoints.read_best()["w"], torch.arange(3.0))
    (tmp_path / BEST).write_bytes(checkpoints.folder.read(BEST))
    with safe_open(tmp_path / BEST, framework="pt") as file:
        assert file.metadata().items() >= {"epoch": "4", "value": "0.875"}.items()


def test_a_disk_that_cannot_be_read_is_as_good_as_damaged(tmp_path: Path) -> None:
    (tmp_path / epoch_file(1)).mkdir()
    with pytest.raises(DamagedError, match=r"epoch-000001.pt cannot be read: Is a directory"):
        Checkpoints(LocalFolder(tmp_path)).read(1)


def test_of_a_store_that_cannot_be_used_nothing_is_known() -> None:
    """What cannot be read now may be whole: it is not to be trained again."""
    with pytest.raises(FolderError, match=r"s3://bucket/x cannot be used: .*'what'"):
        Checkpoints(folder_at("s3://bucket/x?what=1")).read(1)


def test_no_best_weights_before_the_end(checkpoints: Checkpoints) -> None:
    with pytest.raises(FileNotFoundError, match=r"best\.safetensors"):
        checkpoints.read_best()
