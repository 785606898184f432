"""Texts that are no document, however cunning: refused in one sentence, in no time."""

import re
from itertools import pairwise

import pytest

from search.common.faults import SpecError
from search.document import document
from search.document.document import (
    MOST_VALUES,
    as_launched,
    dump_yaml,
    load_document,
    load_yaml,
    split_launched,
)

LAUGHS = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n"
    for before, name in pairwise("abcdefghi")
)
"""Nine lines that stand for a billion values."""

MERGES = (
    "[&0 {k: 1, l: 2}, "
    + ", ".join(f"&{place + 1} {{<<: [{', '.join([f'*{place}'] * 10)}]}}" for place in range(9))
    + "]"
)
"""Merges that make a billion pairs before they make one mapping."""


@pytest.mark.parametrize("text", ["1e5", "-2E+3", "1_0e4", "12", "no", "2024-01-02", "plain", ""])
def test_a_text_stays_one_when_it_is_written_and_read(text: str) -> None:
    assert load_yaml(dump_yaml({"name": text}), "the document") == {"name": text}


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (LAUGHS, f"must hold at most {MOST_VALUES} values"),
        ("a: &a [*a]", f"must hold at most {MOST_VALUES} values"),
        ("a: &a {b: *a}", f"must hold at most {MOST_VALUES} values"),
        (MERGES, f"must hold at most {MOST_VALUES} values"),
        (f"? {MERGES}\n: 1", f"must hold at most {MOST_VALUES} values"),
        ("a: 1" + ":1" * 300 + ".5", "int too large to convert to float"),
        ("a: " + "[" * 1000, "nested too deep"),
        ("a: " + "{b: " * 1000, "nested too deep"),
        ("a: " + "1" * 5000, "Exceeds the limit"),
        ("a: 2024-13-45", "month must be in 1..12"),
        ("a: !!bool maybe", "whose values are as their tags say"),
        ('a: !!int ""', "whose values are as their tags say"),
        ("a: !!timestamp q", "whose values are as their tags say"),
        ("a: !!set [a]", "must be YAML"),
        ("a: !!python/object/apply:os.getcwd []", "could not determine a constructor"),
        ("a: !!python/name:os.system", "could not determine a constructor"),
        ("a: !include /etc/passwd", "could not determine a constructor"),
        ("a: *nowhere", "found undefined alias"),
        ("a: \0", "unacceptable character #x0000"),
        ("a: \ud800", "unacceptable character #xd800"),
        ("? [a, b]\n: 1", "keys must be text"),
        ("a: 1\nb: 2\na: 3", "^the document, line 3: a key may stand only once, but got a twice"),
        ("a: 1\n---\nb: 2", "found another document"),
    ],
    ids=lambda value: str(value)[:24].encode("unicode_escape").decode(),
)
def test_a_text_that_is_no_document(text: str, fault: str) -> None:
    with pytest.raises(SpecError) as raised:
        load_document(text)
    (said,) = raised.value.faults
    assert re.search(fault, said)
    assert said.count("the document") == 1


def test_aliases_that_repeat_little_are_taken() -> None:
    assert load_yaml("a: &a {b: [1, 2]}\nc: *a\nd: {<<: *a, e: 3}", "it") == {
        "a": {"b": [1, 2]}, "c": {"b": [1, 2]}, "d": {"b": [1, 2], "e": 3},
    }  # fmt: skip


def test_as_many_values_as_are_allowed_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "MOST_VALUES", 5)
    assert load_yaml("[1, {a: 2, b: 3}]", "it") == [1, {"a": 2, "b": 3}]
    with pytest.raises(SpecError, match="it: must hold at most 5 values"):
        load_yaml("[1, {a: 2, b: 3}, 4]", "it")


def test_a_document_is_kept_with_what_replaced_parts_of_it() -> None:
    launched = as_launched("name: a  # mine\n\n", ["budget.trials=4", "seed=\n  1"])
    assert launched == "name: a  # mine\n# --set budget.trials=4\n# --set seed=1\n"
    assert load_yaml(launched, "it") == {"name": "a"}
    assert split_launched(launched) == ("name: a  # mine\n", ["budget.trials=4", "seed=1"])
