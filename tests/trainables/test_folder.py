"""Folders on a disk and in an object store, which keep the same promises."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.servers import ObjectStore, free_port
from trainables.folder import Folder, FolderError, Item, LocalFolder, folder_at


def test_a_file_comes_back_as_it_was_written(folder: Folder) -> None:
    for content in (b"first", b"", bytes(range(256)) * 50_000):
        folder.write("a file", content)
        assert folder.read("a file") == content
    assert folder.names() == ["a file"]


def test_what_is_not_there(folder: Folder) -> None:
    assert folder.names() == []
    assert not folder.exists("file")
    with pytest.raises(FileNotFoundError, match="file"):
        folder.read("file")
    folder.delete("file")
    folder.clear()
    assert folder.names() == []


def test_folders_within(folder: Folder) -> None:
    inner = folder.child("search").child("000001")
    inner.write("best", b"weights")
    folder.write("notes", b"mine")

    assert folder.names() == ["notes", "search"]
    assert folder.child("search").names() == ["000001"]
    assert (inner.exists("best"), folder.exists("notes")) == (True, True)
    assert not folder.exists("search"), "a folder is no file"
    assert str(Item(inner, "best")) == f"{folder}/search/000001/best"


def test_another_machine_finds_the_same_folder_by_its_place(folder: Folder) -> None:
    inner = folder.child("search")
    inner.write("file", b"content")
    assert folder_at(inner.place) == inner
    assert folder_at(inner.place).read("file") == b"content"


def test_deleting_takes_what_is_named_and_nothing_else(folder: Folder) -> None:
    for name in ("search", "search-2"):
        folder.child(name).write("file", b"")
        folder.child(name).child("deep").write("file", b"")

    folder.child("search").delete("file")
    assert folder.child("search").names() == ["deep"]
    folder.delete("search")
    assert folder.names() == ["search-2"]
    folder.child("search-2").clear()
    assert folder.names() == []


def test_a_reader_sees_a_whole_file_at_any_moment(folder: Folder) -> None:
    contents = {bytes([number]) * 300_000 for number in range(4)}
    folder.write("file", min(contents))
    seen: list[bytes] = []
    ended = threading.Event()

    def read() -> None:
        while not ended.is_set():
            seen.append(folder.read("file"))

    reader = threading.Thread(target=read)
    reader.start()
    for content in contents:
        folder.write("file", content)
    ended.set()
    reader.join()
    assert seen
    assert set(seen) <= contents


def test_a_check_leaves_nothing(folder: Folder) -> None:
    folder.check()
    assert folder.names() == []


def test_a_write_that_was_killed_is_found_at_any_depth(tmp_path: Path) -> None:
    folder = LocalFolder(tmp_path)
    (tmp_path / "search" / "000001").mkdir(parents=True)
    (tmp_path / "search" / "000001" / ".best.7.tmp").touch()
    (found,) = folder.interrupted()
    assert str(found) == f"{tmp_path}/search/000001/.best.7.tmp"
    found.folder.delete(found.name)
    assert os.listdir(tmp_path) == ["search"]  # noqa: PTH208


def test_nothing_is_left_of_writes_where_the_folder_is_cleared_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, scan = LocalFolder(tmp_path / "trial"), os.scandir
    folder.write("file", b"")

    def scan_late(path: Path) -> "os._ScandirIterator[str]":
        monkeypatch.undo()
        folder.clear()
        return scan(path)

    monkeypatch.setattr(os, "scandir", scan_late)
    assert folder.interrupted() == []
    assert not folder.path.exists()


def test_a_write_that_fails_leaves_the_old_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = LocalFolder(tmp_path)
    folder.write("file", b"old")

    def full(_: int) -> None:
        raise OSError("no room")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="no room"):
        folder.write("file", b"new")
    assert (folder.read("file"), folder.names()) == (b"old", ["file"])


def test_a_folder_is_gone_with_its_last_file(tmp_path: Path) -> None:
    folder = LocalFolder(tmp_path / "trial")
    folder.write("file", b"")
    folder.delete("file")
    assert list(tmp_path.iterdir()) == []


def test_a_bucket_that_is_not_there(object_store: ObjectStore) -> None:
    with pytest.raises(FolderError, match=r"s3://none/x cannot be used: .*bucket does not exist"):
        folder_at(object_store.url("none/x")).check()


def test_a_store_that_does_not_answer_is_given_up_in_seconds(object_store: ObjectStore) -> None:
    away = folder_at(object_store.url("bucket/x").replace(str(object_store.port), str(free_port())))
    began = time.monotonic()
    with pytest.raises(FolderError, match=r"s3://bucket/x cannot be used: .*NETWORK_CONNECTION"):
        away.read("file")
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("url", ["s3://bucket/x?what=1", "abfs://bucket/x", "s3://buc ket/x"])
def test_a_url_that_pyarrow_does_not_understand(url: str) -> None:
    with pytest.raises(FolderError, match=r"//buc ?ket/x cannot be used: \S"):
        folder_at(url).names()


def test_a_store_is_opened_only_when_it_is_used() -> None:
    code = (
        "import sys\n"
        "from trainables.folder import folder_at\n"
        "folder_at('.').names()\n"
        "folder_at('s3://bucket/x').child('y').place\n"
        "sys.exit('pyarrow' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
