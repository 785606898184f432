import json

import pytest

from search.common import versions
from search.common.versions import SETTING, VersionsError, check_versions


def test_the_same_versions_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SETTING, json.dumps(versions.versions()))
    check_versions()


def test_others_are_named_and_so_is_what_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    here = versions.versions()
    monkeypatch.setattr(versions, "COMPARED", (*versions.COMPARED, "not-there"))
    monkeypatch.setenv(SETTING, json.dumps(here | {"ray": "1.0", "not-there": "2.0"}))
    with pytest.raises(VersionsError) as refused:
        check_versions()
    assert str(refused.value).endswith(
        f"other versions: ray {here['ray']} there, 1.0 here; not-there none there, 2.0 here"
    )
