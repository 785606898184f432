"""The reference of the job document, made from the models that check it.

`python -m search.document.reference > docs/job-document.md` writes it anew.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from inspect import cleandoc
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from search.common.faults import Section, show
from search.document.conditions import Condition
from search.document.parameters import Choices, FloatRange
from search.document.pruners import PRUNERS
from search.document.samplers import SAMPLERS
from search.document.spec import KEYS, JobSpec
from trainables.config import TrialConfig

EXAMPLE = """\
name: mnist-rows
data:
  source: mnist-5k                # mnist, fashion-mnist, mnist-5k or digits
  validation: 0.1                 # of the training part; stratified, fixed by the seed
space:
  cell: [lstm, gru]
  hidden_size: {low: 32, high: 256, step: 32}
  layers: {low: 1, high: 3}
  learning_rate: {low: 1.0e-4, high: 3.0e-2, log: true}
  dropout: {low: 0.0, high: 0.5, when: {layers: {at_least: 2}}}
baseline:                         # tried first, and what the winner has to beat
  - {cell: lstm, hidden_size: 256, layers: 2, learning_rate: 0.001, schedule: constant}
  - {cell: gru, hidden_size: 256, layers: 2, learning_rate: 0.001, schedule: constant}
objective: {metric: val_accuracy, direction: maximize}
sampler: tpe                      # or {name: tpe, n_startup_trials: 20}
pruner: successive-halving
training: {epochs: 6, batch_size: 64, optimizer: adam, schedule: one-cycle}
budget: {trials: 30, hours: 1.0, target: 0.99}
workers: {cpus: 1, gpus: 0, concurrent: auto}
confirm: {top: 3, seeds: 5}
seed: 0
"""

INTRO = f"""\
# The job document

One YAML document says what a job searches. `gatetune check JOB.yaml` names every fault in it
without running anything. This page is made from the models that check documents, by
`python -m search.document.reference`; a test keeps it so.

```yaml
{EXAMPLE}```

Everything but `data` has a default, and a key that is null is as one left out, but for `clip_norm`,
where it means none. Unknown keys are errors. Numbers are strict: `64.0` is no whole number, `"64"`
and `true` are no numbers.

## `--set`

`--set KEY=VALUE` changes any key of a document, or adds one. `KEY` is a path through mappings and
places in lists, from 0, and the place after the last appends; `VALUE` is YAML:

```
gatetune launch JOB.yaml --set data.source=digits --set budget.trials=10
gatetune launch JOB.yaml --set space.layers.high=4 --set 'space.cell=[gru]' --set baseline=null
gatetune launch JOB.yaml --set space.layers=null   # is no longer searched
gatetune launch JOB.yaml --set baseline.0.epochs=2 --set sampler.n_startup_trials=20
```
"""

SPACE = """\
## `space`

Every setting of [`training`](#training) may be searched, in one of these ways:

| written | searched |
| --- | --- |
| `cell: [lstm, gru]` | the values of a list |
| `cell: {choices: [lstm, gru], when: …}` | the same, under conditions |
| `layers: {low: 1, high: 3}` | whole numbers, for a setting that is a whole number |
| `hidden_size: {low: 32, high: 256, step: 32}` | 32, 64 and so on up to 256 |
| `learning_rate: {low: 1.0e-4, high: 3.0e-2, log: true}` | numbers on a logarithmic scale |

What is left out of the document altogether has the space of the example above, less what
`training` fixes. Values must be valid for their setting; a range of a setting that may be a
fraction takes whole ends too. `high` must be `low` plus whole steps.

"""

WHEN = """\
### Conditions

`when` maps other settings to what they must be: a value, a list of values, or a mapping of the
keys below. A parameter is searched only where all its conditions hold and the parameters that they
name are searched too; elsewhere it has the value that `training` gives it, or the default. A
setting that is searched without conditions must not be in `training`. Conditions on settings that
are not searched look at `training`.

"""

BASELINE = """\
## `baseline`

A list of mappings from settings to values. Settings that are searched must lie inside the space;
one that the entry leaves out has the value that `training` gives it, or the default, which must
lie inside the space too. One that does not count for the entry must be left out. All other
settings override `training`. Baselines count in `budget.trials`.
"""

TRAINING = """\
## `training`

Settings that all trials share; any may be searched instead.

"""

NAMED = "A name, or a mapping of `name` and options. The default is `{default}`{but}.\n"

BUT = {"pruner": ", and with `objective.beside` `none`"}
"""What changes a default."""

BOUNDS = ((Ge, "ge", "at least"), (Gt, "gt", "above"), (Le, "le", "at most"), (Lt, "lt", "below"))
WORDS = {int: "whole number", float: "number", str: "text", bool: "true or false", NoneType: "null"}


def type_text(annotation: Any) -> str:
    """Return a field's type in words."""
    origin = get_origin(annotation)
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in get_args(annotation))
    if origin in {Union, UnionType}:
        parts = dict.fromkeys(type_text(part) for part in get_args(annotation))
        parts.pop("whole number", None) if "number" in parts else None
        return " or ".join(parts)
    if origin is list:
        return "list of values"
    if origin is tuple:
        return "list of names"
    if origin is dict:
        return "mapping"
    return WORDS[annotation]


def bounds_text(field: FieldInfo) -> str:
    """Return a field's bounds in words, each after a comma."""
    text = ""
    for bound in field.metadata:
        for kind, attribute, words in BOUNDS:
            if isinstance(bound, kind):
                text += f", {words} {show(getattr(bound, attribute))}"
    return text


def rows(model: type[BaseModel], *, skip: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield a model's fields as a table of Markdown, a line at a time."""
    yield "| key | value | default | meaning |"
    yield "| --- | --- | --- | --- |"
    for name, field in model.model_fields.items():
        if name in skip:
            continue
        default = "required" if field.is_required() else f"`{show_default(field)}`"
        kind = type_text(field.annotation) + bounds_text(field)
        yield f"| `{field.alias or name}` | {kind} | {default} | {field.description} |"


def show_default(field: FieldInfo) -> str:
    """Return a field's default as a document writes it."""
    default = field.get_default(call_default_factory=False)
    return default if isinstance(default, str) else show(default)


def table(model: type[BaseModel], *, skip: tuple[str, ...] = ()) -> str:
    """Return a model's fields as a table of Markdown."""
    return "\n".join(rows(model, skip=skip)) + "\n"


def named(key: str, models: Mapping[str, type[Section]]) -> str:
    """Return the part on samplers or pruners, each with its options."""
    parts = [f"## `{key}`\n", NAMED.format(default=next(iter(models)), but=BUT.get(key, ""))]
    for name, model in models.items():
        parts.append(f"### {key} `{name}`\n\n{cleandoc(model.__doc__ or '')}\n")
        if len(model.model_fields) > 1:
            parts.append(table(model, skip=("name",)))
    return "\n".join(parts)


def space() -> str:
    """Return the part on the space."""
    return "\n".join(
        [
            SPACE + "A range has these keys; a whole-numbered one has whole ends and steps of 1:\n",
            table(FloatRange, skip=("when",)),
            "And a list, where it is written as a mapping:\n",
            table(Choices, skip=("when",)),
            WHEN + table(Condition),
        ]
    )


def plain(key: str) -> str:
    """Return the part on a key that holds one flat section or one value."""
    field = JobSpec.model_fields[key]
    title = f"## `{key}`\n\n"
    if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
        return title + f"{field.annotation.__doc__}\n\n" + table(field.annotation)
    default = "the data source" if key == "name" else f"`{show_default(field)}`"
    kind = type_text(field.annotation) + bounds_text(field)
    return title + f"{kind.capitalize()}: {field.description}. The default is {default}.\n"


def section(key: str) -> str:
    """Return the part on one key of the document."""
    parts: dict[str, Callable[[], str]] = {
        "space": space,
        "baseline": lambda: BASELINE,
        "sampler": lambda: named(key, SAMPLERS),
        "pruner": lambda: named(key, PRUNERS),
        "training": lambda: TRAINING + table(TrialConfig),
    }
    return parts[key]() if key in parts else plain(key)


def reference() -> str:
    """Return the whole page in Markdown."""
    return "\n".join([INTRO, *map(section, KEYS)])


if __name__ == "__main__":
    sys.stdout.write(reference())
