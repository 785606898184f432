"""The commands about tokens: the secret is printed once, and kept nowhere."""

import json
from pathlib import Path

import pytest

from search.common.home import Home
from search.database.store import Store
from search.service.tokens import ROLES, Principal, Role, verify
from tests.search.called import call, refused


def known(secret: str) -> Principal | None:
    """Return whose token a service of this installation would take it for."""
    opened = Store.open(Home.from_environment().database_url)
    try:
        return verify(opened, secret)
    finally:
        opened.close()


def listed() -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(call("token", "list", "--json").stdout)
    return found


@pytest.mark.parametrize("command", ["create", "list", "revoke"])
def test_every_command_has_an_example(command: str) -> None:
    result = call("token", command, "--help")
    assert result.exit_code == 0
    assert f"Example: gatetune token {command}" in result.stdout


def test_a_secret_is_all_that_is_printed(home: Path) -> None:
    result = call("token", "create", "--owner", "ada")
    assert (result.exit_code, result.stderr) == (0, "")
    assert known(result.stdout.strip()) == Principal("ada", "launch")


@pytest.mark.parametrize("role", ROLES)
def test_programs_are_told_all(home: Path, role: Role) -> None:
    made = json.loads(call("token", "create", "--owner", "ada", "--role", role, "--json").stdout)
    assert (made["owner"], made["role"]) == ("ada", role)
    assert known(made["token"]) == Principal("ada", role)
    assert [one["id"] for one in listed()] == [made["id"]]


def test_the_first_one_may_be_made_before_anything_else(home: Path) -> None:
    result = call("token", "create", "--role", "admin")
    assert known(result.stdout.strip()) == Principal("admin", "admin")


def test_a_list_has_no_secrets(home: Path) -> None:
    secrets = [call("token", "create", "--owner", name).stdout.strip() for name in ("ada", "bob")]
    plain, found = call("token", "list").stdout, call("token", "list", "--json").stdout
    for secret, one in zip(secrets, listed(), strict=True):
        assert one.keys() == {"id", "owner", "role", "created_at", "revoked_at"}
        assert str(one["owner"]) in plain
        assert str(one["id"]) in plain
        assert secret.split("_", 2)[2] not in plain + found


def test_no_tokens_are_an_empty_list(home: Path) -> None:
    assert listed() == []
    assert call("token", "list").exit_code == 0
    assert not home.exists()


@pytest.mark.parametrize("wrong", [["create", "--role", "boss"], ["revoke", "5f0c1a9b"]])
def test_a_request_that_is_refused_makes_no_installation(home: Path, wrong: list[str]) -> None:
    assert call("token", *wrong).exit_code == 2
    assert not home.exists()


def test_a_revoked_one_is_useless_and_stays_in_the_list(home: Path) -> None:
    made, other = (json.loads(call("token", "create", "--json").stdout) for _ in range(2))
    result = call("token", "revoke", made["id"])
    assert result.stdout == f"token {made['id']} of admin is revoked\n"
    assert known(made["token"]) is None
    assert known(other["token"]) is not None
    again = json.loads(call("token", "revoke", made["id"], "--json").stdout)
    revoked = {one["id"]: one["revoked_at"] for one in listed()}
    assert revoked == {made["id"]: again["revoked_at"], other["id"]: None}


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["create", "--role", "lanch"], "--role must be one of view, launch, admin, but got"),
        (["create", "--role", "lanch"], "(did you mean launch?)"),
        (["create", "--owner", ""], "--owner must be 1 to 64 of letters, digits and . _ @ -"),
        (["create", "--owner", "a b"], "--owner must be 1 to 64 of letters"),
        (["create", "--owner", "a\nb"], "--owner must be 1 to 64 of letters"),
        (["create", "--owner", "a" * 65], "--owner must be 1 to 64 of letters"),
        (["revoke", "00000000"], "no token has the id '00000000'; `gatetune token list` has"),
        (["revoke", "a\0"], "no token has the id"),
    ],
)
def test_a_request_that_is_wrong(home: Path, arguments: list[str], fault: str) -> None:
    refused(call("token", *arguments), fault)
    assert listed() == []
