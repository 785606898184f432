from pathlib import Path

import pytest

from search.common.home import Home, SettingsError, database_url, find_home


def test_the_nearest_home_above_is_used(tmp_path: Path) -> None:
    inner = tmp_path / "project" / "deep"
    inner.mkdir(parents=True)
    (tmp_path / "project" / ".gatetune").mkdir()
    assert find_home(inner) == tmp_path / "project" / ".gatetune"
    (inner / ".gatetune").mkdir()
    assert find_home(inner) == inner / ".gatetune"


def test_without_one_it_is_new_and_here(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GATETUNE_HOME")
    here = home.parent / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    assert Home.from_environment().path == here / ".gatetune"
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("name", ["what?", "a%41b"])
def test_a_home_that_no_address_can_name_is_refused(
    home: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("GATETUNE_HOME", str(home / name))
    with pytest.raises(SettingsError, match="GATETUNE_HOME must be a folder whose path has no"):
        Home.from_environment()
    monkeypatch.setenv("GATETUNE_HOME", str(home / "100% mine"))
    assert Home.from_environment().path == home / "100% mine"


def test_all_of_an_embedded_installation_lies_under_the_home(home: Path) -> None:
    found = Home.from_environment()
    assert found.database_url == f"sqlite:///{home / 'gatetune.db'}"
    assert found.tracking_path == home / "mlflow.db"
    assert (found.artifacts, found.checkpoints, found.data) == (
        home / "artifacts",
        str(home / "checkpoints"),
        home / "data",
    )
    assert (found.ray_address, found.embedded_tracking) == (None, True)
    assert not found.is_shared
    assert not home.exists()


def test_a_setting_that_is_empty_is_none(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Home.from_environment()
    for name in (
        "GATETUNE_DATABASE_URL", "MLFLOW_TRACKING_URI", "RAY_ADDRESS", "GATETUNE_CHECKPOINTS",
        "GATETUNE_DATA", "GATETUNE_DATA_ROOTS",
    ):  # fmt: skip
        monkeypatch.setenv(name, "")
    assert Home.from_environment() == found


def test_settings_move_parts_elsewhere(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {
        "GATETUNE_DATABASE_URL": "postgres://me@db/search",
        "MLFLOW_TRACKING_URI": "http://mlflow:5000",
        "RAY_ADDRESS": "10.0.0.1:6379",
        "GATETUNE_CHECKPOINTS": str(home.parent / "shared"),
        "GATETUNE_DATA": "~/data",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    found = Home.from_environment()
    assert found.database_url == "postgresql+psycopg://me@db/search"
    assert (found.tracking_uri, found.embedded_tracking) == ("http://mlflow:5000", False)
    assert found.ray_address == "10.0.0.1:6379"
    assert (found.checkpoints, found.data) == (str(home.parent / "shared"), Path.home() / "data")


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("MLFLOW_TRACKING_URI", "http://mlflow:5000"),
        ("MLFLOW_TRACKING_URI", "sqlite:////srv/mlflow.db"),
        ("GATETUNE_CHECKPOINTS", "/srv"),
        ("GATETUNE_CHECKPOINTS", "s3://team/checkpoints"),
    ],
)
def test_what_lies_elsewhere_may_be_of_other_installations_too(
    home: Path, monkeypatch: pytest.MonkeyPatch, setting: str, value: str
) -> None:
    monkeypatch.setenv(setting, value)
    assert Home.from_environment().is_shared


def test_creating_it_keeps_it_out_of_git_and_keeps_what_is_there(home: Path) -> None:
    Home.from_environment().create()
    assert (home / ".gitignore").read_text() == "*\n"
    assert (home / "checkpoints").is_dir()
    (home / ".gitignore").write_text("mine\n")
    Home.from_environment().create()
    assert (home / ".gitignore").read_text() == "mine\n"


@pytest.mark.parametrize(
    ("url", "used"),
    [
        ("postgresql://db/search", "postgresql+psycopg://db/search"),
        ("postgres://db/search", "postgresql+psycopg://db/search"),
        ("postgresql+psycopg://db/search", "postgresql+psycopg://db/search"),
        ("sqlite:////data/gatetune.db", "sqlite:////data/gatetune.db"),
    ],
)
def test_database_urls(url: str, used: str) -> None:
    assert database_url(url) == used


@pytest.mark.parametrize(
    ("setting", "value", "fault"),
    [
        ("GATETUNE_DATABASE_URL", "mysql://db/search", "or postgresql://, but got 'mysql'"),
        ("GATETUNE_DATABASE_URL", "sqlite://", "must start with sqlite:///"),
        ("MLFLOW_TRACKING_URI", "databricks", "must start with http://, https:// or sqlite:///, "),
        ("MLFLOW_TRACKING_URI", "sqlite:////m.db?timeout=9", "must name a file without ?"),
        ("MLFLOW_TRACKING_URI", "/runs", "https:// or sqlite:///, but got '/runs'"),
        ("MLFLOW_TRACKING_URI", "postgresql://me:hush@db/x", "but got 'postgresql://db/x'"),
        ("GATETUNE_CHECKPOINTS", "ftp://host/x", "s3, gs, gcs, abfs, abfss, but got ftp://"),
        ("GATETUNE_CHECKPOINTS", "s3:///x", "must be a folder or a URL such as s3://BUCKET/PATH"),
        ("GATETUNE_CHECKPOINTS", "s3://[x", "must be a folder or a URL, but: Invalid IPv6 URL"),
        ("GATETUNE_CHECKPOINTS", "s3://me:hush@bucket/x", "must name no password: credentials"),
        ("GATETUNE_CHECKPOINTS", "s3://me:hu/hush@bucket/x", "come from the environment, such as"),
        ("GATETUNE_CHECKPOINTS", "abfs://a/b?client_secret=hush", "must name no password"),
        ("GATETUNE_DATA", "http://data", "GATETUNE_DATA must be a folder, but got 'http://data'"),
    ],
)
def test_bad_setting(
    home: Path, monkeypatch: pytest.MonkeyPatch, setting: str, value: str, fault: str
) -> None:
    monkeypatch.setenv(setting, value)
    with pytest.raises(SettingsError, match=setting) as caught:
        Home.from_environment()
    assert fault in str(caught.value)
    assert "hu" not in str(caught.value)


def test_checkpoints_in_an_object_store(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = "s3://bucket/x?region=eu-west-1"
    monkeypatch.setenv("GATETUNE_CHECKPOINTS", url)
    found = Home.from_environment()
    found.create()
    assert found.checkpoints == url
    assert str(found.folder("tiny-0001")) == "s3://bucket/x/tiny-0001"
    assert [path.name for path in home.iterdir()] == [".gitignore"]


@pytest.mark.parametrize("inside", ["", "/inside/it"])
def test_a_home_must_be_a_folder(home: Path, monkeypatch: pytest.MonkeyPatch, inside: str) -> None:
    home.write_text("a file")
    monkeypatch.setenv("GATETUNE_HOME", f"{home}{inside}")
    with pytest.raises(
        SettingsError, match=f"GATETUNE_HOME must be a folder, but {home} is a file"
    ):
        Home.from_environment()


def test_a_home_that_cannot_be_made_is_one_message(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATETUNE_HOME", "/proc/nowhere/home")
    with pytest.raises(SettingsError, match=r"GATETUNE_HOME must be a folder that can .* /proc"):
        Home.from_environment().create()
    monkeypatch.setattr("os.access", lambda *_: False)
    monkeypatch.setenv("GATETUNE_HOME", str(home))
    with pytest.raises(SettingsError, match=rf"{home.parent}: Permission denied"):
        Home.from_environment().check()
    assert not home.exists()
