"""Who runs a process, and how it is told from all others."""

import getpass
import os
import subprocess

import pytest

from search.common.processes import birth, end_orphans, mark, namespace, user


def test_a_user_without_a_name_has_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    assert user() == getpass.getuser()

    def unknown() -> str:
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.setattr(getpass, "getuser", unknown)
    assert user() == str(os.getuid())


def test_the_birth_of_a_process_is_its_own_while_it_lives() -> None:
    assert birth(os.getpid()) == birth(os.getpid()) != ""
    with subprocess.Popen(["true"]) as ended:
        pass
    assert birth(ended.pid) == ""


def test_orphans_are_ended_and_what_belongs_to_others_is_not() -> None:
    with subprocess.Popen(["true"]) as ended:
        pass
    owners = {
        "orphan": f"{ended.pid}:12345:{namespace()}",
        "elsewhere": f"{ended.pid}:12345:{namespace() + 1}",
        "mine": mark(),
    }
    running = {
        name: subprocess.Popen(["sleep", "300"], env={"GATETUNE_TEST": owner})
        for name, owner in owners.items()
    }
    try:
        end_orphans("GATETUNE_OTHER")
        assert all(one.poll() is None for one in running.values())
        end_orphans("GATETUNE_TEST")
        assert running["orphan"].wait() == -9
        assert [running[name].poll() for name in ("elsewhere", "mine")] == [None, None]
    finally:
        for one in running.values():
            one.kill()
            one.wait()
