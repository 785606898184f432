"""Paths that would lead out of a folder, or nowhere."""

import pytest

from tests.search.service.api.world import ENDED, FINISHED, LAUNCH, World, shape

OUTSIDE = [
    "..", ".", "../../secret", "..%2f..%2fsecret", "%2e%2e%2f%2e%2e%2fsecret", "..%5c..%5csecret",
    "%2fetc%2fpasswd", "/etc/passwd", "%252e%252e%252fsecret", "README.md%00", "README.md%2f..",
    "./README.md", "%0d%0aSet-Cookie:%20x=1", "a" * 5000, "%ff",
]  # fmt: skip


@pytest.mark.parametrize("name", [*OUTSIDE, "readme.md", "link.npz"])
def test_no_artifact_leads_out_of_its_folder(network: World, name: str) -> None:
    path = f"/jobs/{FINISHED}/artifacts/{name}"
    answer = network.refuse((404, "not-found"), "viewer", "GET", path)
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
@pytest.mark.parametrize(
    "name", [*OUTSIDE, ".hidden", "-x", "a b", "a%00", "%c3%a9", "a" * 129,
             "a%0a", "a;b", "a%3Fb", "CON:", "..."],
)  # fmt: skip
def test_no_name_of_a_file_leads_out_of_its_folder(network: World, method: str, name: str) -> None:
    given = {"data": b"x"} if method == "PUT" else {}
    before = network.served.state()
    answer = network.ask("admin", method, f"/data/{name}", **given)
    assert answer.status_code in {404, 405, 422}
    assert shape(answer)["code"] in {"not-found", "method-not-allowed", "invalid-request"}
    assert network.served.state() == before
    assert (network.served.home.path / "secret").read_text() == "secret"


def test_a_link_among_the_uploads_is_no_file_of_ours(network: World) -> None:
    listed = network.ask("viewer", "GET", "/data").json()
    assert [one["name"] for one in listed] == ["walks.npz"]
    network.refuse((404, "not-found"), "admin", "DELETE", "/data/link.npz")
    network.refuse((409, "exists"), "admin", "PUT", "/data/link.npz", data=b"x")
    assert (network.served.home.path / "secret").read_text() == "secret"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/jobs/%0d%0aSet-Cookie:%20x=1", 404),
        ("/jobs/%00", 404),
        ("/jobs/%ff%fe", 404),
        ("/jobs/..%2f..%2fhealth", 404),
        ("/jobs/%ed%a0%80", 404),
        ("/jobs/" + "a" * 30_000, 404),
        ("/jobs/' OR 1=1 --", 404),
        ("/jobs/%1b[2J", 404),
        ("/jobs?cursor=x", 422),
        ("/jobs?cursor=1/%00", 422),
        ("/jobs?limit=0", 422),
        ("/jobs?limit=1001", 422),
        ("/jobs?limit=" + "1" * 5000, 422),
        ("/jobs?status=dead", 422),
        ("/jobs?name=" + "a" * 65, 422),
        (f"/jobs/{ENDED}/trials/-1/metrics", 422),
        (f"/jobs/{ENDED}/trials/{2**31}/metrics", 422),
        (f"/jobs/{ENDED}/trials/{10**30}/metrics", 422),
        (f"/jobs/{ENDED}/trials/x/metrics", 422),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_path_that_leads_nowhere(network: World, path: str, status: int) -> None:
    code = {404: "job-not-found", 422: "invalid-request"}[status]
    if "%2f" in path:
        code = "not-found"
    answer = network.refuse((status, code), "viewer", "GET", path)
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("key", ["a" * 201, "\xe9" * 201])
def test_a_key_that_is_too_long(network: World, key: str) -> None:
    headers = {"Idempotency-Key": key}
    network.refuse(
        (422, "invalid-request", "idempotency-key"),
        "ada",
        "POST",
        "/jobs",
        json=LAUNCH,
        headers=headers,
    )
