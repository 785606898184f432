from pathlib import Path

import pytest
from pydantic import BaseModel

from search.document.conditions import Condition
from search.document.parameters import Choices, FloatRange, IntRange
from search.document.pruners import PRUNERS
from search.document.reference import EXAMPLE, reference
from search.document.samplers import SAMPLERS
from search.document.sections import Budget, Confirm, Data, Objective, Workers
from search.document.spec import KEYS, JobSpec, parse_job
from trainables.config import TrialConfig

PAGE = Path(__file__).parents[3] / "docs" / "job-document.md"


def test_the_page_is_what_the_models_say() -> None:
    written = PAGE.read_text(encoding="utf-8")
    assert written == reference(), (
        "write it anew: python -m search.document.reference > docs/job-document.md"
    )


def test_the_example_is_a_valid_document() -> None:
    assert parse_job(EXAMPLE).name == "mnist-rows"


def test_every_key_of_a_document_has_its_part() -> None:
    assert set(KEYS) == set(JobSpec.model_fields)
    assert all(f"\n## `{key}`\n" in reference() for key in KEYS)


@pytest.mark.parametrize(
    "model",
    [
        *(JobSpec, TrialConfig, Data, Objective, Budget, Workers, Confirm, Condition),
        *(Choices, IntRange, FloatRange, *SAMPLERS.values(), *PRUNERS.values()),
    ],
)
def test_every_field_is_described(model: type[BaseModel]) -> None:
    assert [name for name, field in model.model_fields.items() if not field.description] == []
