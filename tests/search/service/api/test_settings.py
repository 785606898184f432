"""What a service is told by its environment."""

import socket

import pytest

from search.common.home import SettingsError
from search.service.api.settings import LOOPBACK, MEGABYTE, Settings

NAMES = (
    "GATETUNE_HOSTS", "GATETUNE_SECURE", "GATETUNE_MAX_UPLOAD_MB", "GATETUNE_MAX_TRIALS_A_JOB",
    "GATETUNE_REQUESTS_A_MINUTE", "GATETUNE_MAX_DATA_MB", "GATETUNE_MLFLOW_URL",
)  # fmt: skip


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


def read(host: str = "127.0.0.1") -> Settings:
    return Settings.from_environment(host, 8765)


def test_without_any_the_service_is_for_this_machine() -> None:
    settings = read()
    assert settings.is_private
    assert settings.hosts == (*LOOPBACK, socket.gethostname().lower())
    assert not settings.secure
    assert (settings.body_bytes, settings.upload_bytes) == (MEGABYTE, 1024 * MEGABYTE)
    assert (settings.trials_a_job, settings.requests_a_minute) == (100_000, 6000)


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_one_is_as_none(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    before = read()
    monkeypatch.setenv(name, "")
    assert read() == before


def test_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    values = (
        "Gatetune.Example, other.example,,", "yes", "5", "10", "20", "7", "https://flow.example/a/",
    )  # fmt: skip
    for name, value in zip(NAMES, values, strict=True):
        monkeypatch.setenv(name, value)
    settings = read("0.0.0.0")  # noqa: S104
    assert not settings.is_private
    assert {"gatetune.example", "other.example", "0.0.0.0"} < set(settings.hosts)  # noqa: S104
    assert "" not in settings.hosts
    assert settings.secure
    assert settings.mlflow == "https://flow.example/a"
    assert (settings.upload_bytes, settings.trials_a_job) == (5 * MEGABYTE, 10)
    assert (settings.requests_a_minute, settings.uploads_bytes) == (20, 7 * MEGABYTE)


@pytest.mark.parametrize("host", LOOPBACK)
def test_on_every_loopback_no_token_is_needed(host: str) -> None:
    assert read(host).is_private


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "127.0.0.1.example"])  # noqa: S104
def test_elsewhere_tokens_are_needed(host: str) -> None:
    assert not read(host).is_private


def test_behind_a_proxy_tokens_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATETUNE_SECURE", "yes")
    assert not read().is_private


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("GATETUNE_SECURE", "maybe", "GATETUNE_SECURE must be yes or no, but got 'maybe'"),
        ("GATETUNE_MLFLOW_URL", "flow.example", "must be an address such as http://"),
        ("GATETUNE_MLFLOW_URL", "http://me:secret@flow.example", "without a password"),
        ("GATETUNE_MLFLOW_URL", "http://127.0.0.1:5000}", "must be an address such as http://"),
        ("GATETUNE_MLFLOW_URL", "http://[::1", "must be an address such as http://"),
        ("GATETUNE_MLFLOW_URL", "javascript:alert(1)", "must be an address such as http://"),
        ("GATETUNE_MAX_UPLOAD_MB", "0", "must be a whole number of at least 1, but got '0'"),
        ("GATETUNE_MAX_TRIALS_A_JOB", "-1", "must be a whole number of at least 1, but got '-1'"),
        (
            "GATETUNE_REQUESTS_A_MINUTE",
            "1e3",
            "must be a whole number of at least 1, but got '1e3'",
        ),
    ],
)
def test_one_that_cannot_be_used(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, fault: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=fault):
        read()
