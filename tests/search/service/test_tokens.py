"""Whose token a text is, on every database that may hold it."""

import pytest
from sqlalchemy import select

from search.database.store import Store
from search.database.tables import Token
from search.service.tokens import (
    Principal,
    TokenError,
    any_valid,
    create,
    listed,
    revoke,
    verify,
)


class TestOnEveryDatabase:
    @pytest.mark.parametrize("role", ["view", "launch", "admin"])
    def test_a_token_says_whose_it_is_and_what_it_allows(self, opened: Store, role: str) -> None:
        _, text = create(opened, "ann@example.org", role)
        principal = verify(opened, text)
        assert principal is not None
        assert (principal.owner, principal.role) == ("ann@example.org", role)

    def test_the_secret_is_kept_nowhere(self, opened: Store) -> None:
        token, text = create(opened, "ann", "view")
        prefix, token_id, secret = text.split("_", 2)
        assert (prefix, token_id) == ("gt", token.id)
        assert len(secret) == 43, "256 bits"
        with opened.session() as session:
            row = session.scalars(select(Token)).one()
        assert not any(secret in str(value) for value in vars(row).values())

    def test_no_two_tokens_are_alike(self, opened: Store) -> None:
        texts = {create(opened, "ann", "view")[1] for _ in range(5)}
        assert len(texts) == 5
        assert len({one["id"] for one in listed(opened)}) == 5

    def test_the_secret_of_another_token_opens_nothing(self, opened: Store) -> None:
        (_, first), (_, second) = (create(opened, owner, "admin") for owner in ("ann", "bob"))
        mixed = "_".join([*first.split("_", 2)[:2], second.split("_", 2)[2]])
        assert verify(opened, mixed) is None

    @pytest.mark.parametrize(
        "wrong",
        ["", "gt", "gt_", "gt__", "gt_{id}", "gt_{id}_", "xx_{id}_{secret}", "{id}_{secret}",
         "gt_{id}_{secret}x", "gt_{id}_{secret}\n", "gt_{id}_{digest}", " gt_{id}_{secret}",
         "gt_00000000_{secret}", "gt_\0_{secret}", "gt_\ud800_{secret}", "gt_{id}_\ud800",
         "gt_{id}_é"],
    )  # fmt: skip
    def test_what_is_no_token_is_nobodys(self, opened: Store, wrong: str) -> None:
        token, text = create(opened, "ann", "admin")
        secret = text.split("_", 2)[2]
        assert verify(opened, wrong.format(id=token.id, secret=secret, digest=token.digest)) is None

    def test_a_revoked_token_is_useless_and_the_others_are_not(self, opened: Store) -> None:
        (token, first), (_, second) = (create(opened, "ann", "view") for _ in range(2))
        revoked_at = revoke(opened, token.id).revoked_at
        assert revoked_at is not None
        assert verify(opened, first) is None
        assert verify(opened, second) is not None
        assert revoke(opened, token.id).revoked_at == revoked_at

    @pytest.mark.parametrize("token_id", ["00000000", "\0", "\ud800"])
    def test_an_unknown_token_cannot_be_revoked(self, opened: Store, token_id: str) -> None:
        with pytest.raises(TokenError, match=r"no token has the id '.*'; `gatetune token list`"):
            revoke(opened, token_id)

    def test_the_list_has_every_token_oldest_first_and_no_secret(self, opened: Store) -> None:
        made = [create(opened, owner, "launch")[0] for owner in ("ann", "bob", "ann")]
        revoke(opened, made[1].id)
        tokens = listed(opened)
        assert [one["id"] for one in tokens] == [token.id for token in made]
        assert [one["revoked_at"] is None for one in tokens] == [True, False, True]
        assert {key for one in tokens for key in one} == {
            "id", "owner", "role", "created_at", "revoked_at",
        }  # fmt: skip

    def test_somebody_can_come_in_while_a_token_is_left(self, opened: Store) -> None:
        assert not any_valid(opened)
        made = [create(opened, "ann", "view")[0] for _ in range(2)]
        for token in made:
            assert any_valid(opened)
            revoke(opened, token.id)
        assert not any_valid(opened)


@pytest.mark.parametrize(
    ("role", "message"),
    [
        ("launcher", r"must be one of view, launch, admin, but got 'launcher' .*mean launch\?"),
        ("root", r"must be one of view, launch, admin, but got 'root'$"),
        ("", r"must be one of view, launch, admin, but got ''$"),
    ],
)
def test_a_role_that_there_is_not_names_those_that_there_are(
    store: Store, role: str, message: str
) -> None:
    with pytest.raises(TokenError, match=rf"role {message}"):
        create(store, "ann", role)
    assert listed(store) == []


@pytest.mark.parametrize(
    "owner", ["", "-ann", ".ann", "ann smith", "ann\n", "a" * 65, "änn", "a/b"]
)
def test_an_owner_whose_name_cannot_stand_in_a_log_is_refused(store: Store, owner: str) -> None:
    with pytest.raises(TokenError, match="owner must be 1 to 64 of letters, digits and"):
        create(store, owner, "view")
    assert listed(store) == []


@pytest.mark.parametrize("owner", ["a", "a" * 64, "0", "ann@example.org", "ann_b-c.d"])
def test_other_names_are_taken(store: Store, owner: str) -> None:
    assert create(store, owner, "view")[0].owner == owner


def test_each_role_may_do_what_those_before_it_may() -> None:
    view, launch, admin = (
        Principal("ann", "view"),
        Principal("ann", "launch"),
        Principal("ann", "admin"),
    )
    assert [view.may("view"), view.may("launch"), view.may("admin")] == [True, False, False]
    assert [launch.may("view"), launch.may("launch"), launch.may("admin")] == [True, True, False]
    assert [admin.may("view"), admin.may("launch"), admin.may("admin")] == [True, True, True]


@pytest.mark.parametrize(
    ("principal", "own", "foreign"),
    [
        (Principal("ann", "view"), False, False),
        (Principal("ann", "launch"), True, False),
        (Principal("ann", "admin"), True, True),
    ],
)
def test_only_an_admin_may_change_what_is_anothers(
    principal: Principal, own: bool, foreign: bool
) -> None:
    assert principal.owns("ann") is own
    assert principal.owns("bob") is foreign
