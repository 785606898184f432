"""Data files over REST: kept whole, listed, deleted, and no more of them than there is room for."""

import errno
import hashlib
import os
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from search.service.api import uploads
from search.service.api.uploads import ABANDONED_S
from tests.search.service.api.served import Served, fresh, listening, serving
from tests.search.service.api.world import refused, settings


def put(served: Served, name: str = "walks.npz", data: Any = b"walks") -> Any:
    return served.ask("PUT", f"/data/{name}", data=data)


def folder(served: Served) -> Path:
    return served.home.data / "uploads"


def test_there_are_none_at_first(served: Served) -> None:
    assert served.get("/data") == []


def test_a_file_is_kept_listed_and_deleted(served: Served) -> None:
    data = bytes(range(256)) * 5000
    answer = put(served, data=data)
    kept = answer.json()
    assert answer.status_code == 201
    assert (kept["name"], kept["size_bytes"]) == ("walks.npz", len(data))
    assert kept["sha256"] == hashlib.sha256(data).hexdigest()
    assert (folder(served) / "walks.npz").read_bytes() == data
    assert put(served, "a.csv", b"").json()["size_bytes"] == 0
    assert [one["name"] for one in served.get("/data")] == ["a.csv", "walks.npz"]
    assert served.get("/data")[1] == kept
    answer = served.ask("DELETE", "/data/walks.npz")
    assert (answer.status_code, answer.json()) == (200, {"deleted": "walks.npz"})
    assert [one["name"] for one in served.get("/data")] == ["a.csv"]
    assert [path.name for path in folder(served).iterdir()] == ["a.csv"]


def test_a_file_in_pieces_of_no_announced_length(served: Served) -> None:
    answer = put(served, data=iter([b"a" * 70_000, b"b", b"c" * 70_000]))
    assert answer.json()["size_bytes"] == 140_001


def refusing(number: int) -> Callable[[Path, Path], None]:
    """Return what a folder does on which this is not possible."""

    def refuse(_: Path, __: Path) -> None:
        raise OSError(number, os.strerror(number))

    return refuse


@pytest.mark.parametrize("links", [None, errno.EPERM, errno.EOPNOTSUPP])
def test_a_name_that_is_taken_keeps_its_file(
    served: Served, monkeypatch: pytest.MonkeyPatch, links: int | None
) -> None:
    if links is not None:
        monkeypatch.setattr(Path, "hardlink_to", refusing(links))
    assert put(served).status_code == 201
    refused(put(served, data=b"other"), 409, "exists", "there is a data file walks.npz already")
    assert [path.read_bytes() for path in folder(served).iterdir()] == [b"walks"]


def test_where_there_are_no_links_a_file_that_cannot_be_named_takes_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("hardlink_to", "replace"):
        monkeypatch.setattr(Path, name, refusing(errno.EOPNOTSUPP))
    (tmp_path / "partial").write_bytes(b"walks")
    with pytest.raises(OSError, match="not supported"):
        uploads.publish(tmp_path / "partial", tmp_path / "walks.npz")
    assert not (tmp_path / "walks.npz").exists()


def test_of_many_at_once_one_wins_and_its_file_is_whole(served: Served) -> None:
    bodies = [bytes([number]) * 200_000 for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda body: put(served, data=body), bodies))
    assert sorted(one.status_code for one in answers) == [201] + [409] * 7
    (winner,) = [place for place, one in enumerate(answers) if one.status_code == 201]
    assert [path.read_bytes() for path in folder(served).iterdir()] == [bodies[winner]]


def test_a_client_that_goes_away_leaves_nothing(served: Served) -> None:
    host, port = served.url.removeprefix("http://").split(":")
    with listening() as log:
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(
                b"PUT /api/v1/data/part.npz HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                b"Content-Length: 1000000\r\n\r\n" + b"x" * 5000
            )
        assert log.next().getMessage() == "PUT /api/v1/data/part.npz: 499"
    assert list(folder(served).iterdir()) == []
    assert put(served, "part.npz").status_code == 201


def test_what_is_not_there_cannot_be_deleted(served: Served) -> None:
    answer = served.ask("DELETE", "/data/walks.npz")
    refused(answer, 404, "not-found", "there is no data file walks.npz")


@pytest.mark.parametrize("name", ["a", "A.b-c_d", "0", "a..b", "a" * 128, "x.tar.gz"])
def test_names_that_files_may_have(served: Served, name: str) -> None:
    assert put(served, name).json()["name"] == name
    assert served.ask("DELETE", f"/data/{name}").status_code == 200


def test_a_file_that_is_deleted_while_it_is_listed_is_left_out(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(served, "gone.npz")
    put(served)
    whole = uploads.is_whole

    def deleted_then(path: Path) -> bool:
        found = whole(path)
        if path.name == "gone.npz":
            path.unlink()
        return found

    monkeypatch.setattr(uploads, "is_whole", deleted_then)
    assert [one["name"] for one in served.get("/data")] == ["walks.npz"]
    put(served, "gone.npz")
    assert served.ask("DELETE", "/data/gone.npz").status_code == 200


def test_folders_and_foreign_files_are_not_listed(served: Served) -> None:
    put(served)
    (folder(served) / "inner").mkdir()
    (folder(served) / ".part").write_text("x")
    (folder(served) / "a b").write_text("x")
    assert [one["name"] for one in served.get("/data")] == ["walks.npz"]
    refused(served.ask("DELETE", "/data/inner"), 404, "not-found", "no data file inner")
    refused(put(served, "inner"), 409, "exists", "already")


def test_all_files_together_may_not_be_more_than_there_is_room_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(fresh(tmp_path), settings(host="127.0.0.1", uploads_bytes=1000)) as served:
        assert put(served, "a", b"a" * 600).status_code == 201
        full = "all data files may take 1000 bytes; delete some to make room"
        refused(put(served, "b", b"b" * 401), 507, "no-room", full)
        monkeypatch.setattr(uploads, "CHECK_BYTES", 100)
        endless = iter([b"c" * 100] * 10**3)
        refused(put(served, "c", endless), 507, "no-room", full)
        assert [path.name for path in folder(served).iterdir()] == ["a"]
        assert put(served, "b", b"b" * 400).status_code == 201


def test_what_a_killed_service_was_taking_is_deleted_in_time(served: Served) -> None:
    folder(served).mkdir(parents=True)
    young, old = folder(served) / ".young", folder(served) / ".old"
    for path in (young, old):
        path.write_text("part")
    foreign = folder(served) / ".ipynb_checkpoints"
    foreign.mkdir()
    long_ago = time.time() - ABANDONED_S - 1
    for path in (old, foreign):
        os.utime(path, (long_ago, long_ago))
    assert put(served).status_code == 201
    assert sorted(path.name for path in folder(served).iterdir()) == [
        ".ipynb_checkpoints", ".young", "walks.npz"
    ]  # fmt: skip


def test_a_full_disk(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "hardlink_to", full)
    refused(put(served), 507, "no-room", "the disk of the data files is full")
    assert list(folder(served).iterdir()) == []


def test_a_file_is_read_once_for_its_checksum(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(served)
    monkeypatch.setattr(hashlib, "file_digest", None)
    assert [one["name"] for one in served.get("/data")] == ["walks.npz"]
