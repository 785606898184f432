"""Attributes of libraries are as they were, whatever happens in between."""

import json
from contextlib import suppress

from search.common.patching import replaced


def test_an_attribute_is_another_within_the_block_alone() -> None:
    before = json.dumps
    with suppress(ValueError), replaced(json, dumps=str):
        said = json.dumps([None])
        json.loads("no JSON")
    assert said == "[None]"
    assert json.dumps is before
