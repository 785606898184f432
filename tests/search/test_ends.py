"""How commands end."""

import pytest

from search.ends import fail


def test_a_message_ends_with_its_code(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=r"^1$"):
        fail("the lease is lost", 1)
    assert capsys.readouterr().err == "gatetune: the lease is lost\n"
