import pytest

from search.service import tokens
from tests.search.service.api.served import Served
from tests.search.service.api.world import World


def test_a_token_is_made_used_listed_and_revoked(served: Served) -> None:
    answer = served.ask("POST", "/tokens", json={"owner": "ada", "role": "view"})
    assert answer.status_code == 201
    made = answer.json()
    assert tokens.verify(served.store, made["token"]) == tokens.Principal("ada", "view")
    (row,) = served.get("/tokens")
    assert (row["id"], row["owner"], row["revoked_at"]) == (made["id"], "ada", None)
    assert made["token"] not in str(row)
    revoked = served.ask("DELETE", f"/tokens/{made['id']}")
    assert revoked.json()["revoked_at"] is not None
    assert tokens.verify(served.store, made["token"]) is None


@pytest.mark.parametrize("who", ["viewer", "ada"])
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/tokens"), ("POST", "/tokens"), ("DELETE", "/tokens/00000000")]
)
def test_tokens_are_for_admins(network: World, who: str, method: str, path: str) -> None:
    body = {"json": {"owner": "eve", "role": "admin"}} if method == "POST" else {}
    network.refuse((403, "role-needed", "role admin"), who, method, path, **body)


def test_what_is_no_token(served: Served) -> None:
    bad = served.ask("POST", "/tokens", json={"owner": "a b", "role": "view"})
    assert bad.status_code == 422
    assert bad.json()["error"]["message"].startswith("owner must be 1 to 64")
    assert served.ask("POST", "/tokens", json={"owner": "a", "role": "king"}).status_code == 422
    assert served.ask("DELETE", "/tokens/nothing").status_code == 404
    assert served.get("/tokens") == []
