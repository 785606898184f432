"""What others have written harms nobody who reads it."""

import pytest

from search.common.texts import last_line, literal, readable, without_passwords

SECRET = "Jfg4-x_Y" * 5 + "Zq8"
"""As long as that of a token."""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "API request to http://svc:s3cr3t@mlflow:5000/api failed",
            "API request to http://mlflow:5000/api failed",
        ),
        ("postgresql://me:p%40ss@db/x, s3://key@bucket", "postgresql://db/x, s3://bucket"),
        ("http://u:p@ss@h:5000/", "http://h:5000/"),
        ("write to ada@example.org", "write to ada@example.org"),
        ("GET /tokens/gt_d9b6b899_Jfg4-x_Y: 404", "GET /tokens/gt_d9b6b899_…: 404"),
        ("Bearer%20gt_d9b6b899_Jfg4", "Bearer%20gt_d9b6b899_…"),
        ("The token is gt_d9b6b899_Jfg4-x_Y.", "The token is gt_d9b6b899_…."),
        (f"GET /tokens/gt_d9b6b899_{SECRET}.json", "GET /tokens/gt_d9b6b899_….json"),
        ("the column gt_1_mean of gt_db_prod", "the column gt_1_mean of gt_db_prod"),
        ("no gt_20250101_labels.csv there", "no gt_20250101_labels.csv there"),
    ],
)
def test_a_url_does_not_say_who_asks(text: str, shown: str) -> None:
    assert without_passwords(text) == readable(text) == shown


def test_a_terminal_is_not_commanded() -> None:
    assert readable("a\x1b]0;title\x07\x1b[31m red\x9b1m\ttab\n") == "a]0;title[31m red1m\ttab\n"


def test_what_markdown_would_take_for_more_is_shown_as_it_is() -> None:
    assert literal("<b>x</b> a|b *c* _d_ val_loss `e` & \\") == (
        r"\<b>x\</b> a\|b \*c\* \_d\_ val_loss \`e\` \& \\"
    )


def test_the_last_line_of_a_traceback_says_what_happened() -> None:
    assert last_line("Traceback\n  File\nValueError: bad\n") == "ValueError: bad"
    assert last_line(" \n") == "no reason is known"
