"""Who runs a process, and how it is told from all others."""

import getpass
import os
import subprocess

import pytest

from search.common.processes import birth, user


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
