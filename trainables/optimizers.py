"""Torch's optimizers, without its compiler."""

from collections.abc import Callable
from typing import Any

import torch
from torch.optim import Adam, AdamW

DECORATED = ("step", "zero_grad", "add_param_group", "state_dict", "load_state_dict")
"""Methods with a decorator for `torch.compile`."""


def eager(kind: type[Adam]) -> type[Adam]:
    """Return an optimizer whose methods are those inside their decorators.

    `torch.compile` brings nothing at recurrent layers, and the decorators import it when they are
    first called: more than a second and 150 MB in every worker. Torch wraps ``step`` once more when
    a class has its first instance, so this has to happen before that.
    """
    bare: dict[str, Callable[..., Any]] = {n: getattr(kind, n).__wrapped__ for n in DECORATED}
    return type(kind.__name__, (kind,), bare | {"step": torch.no_grad()(bare["step"])})


OPTIMIZERS: dict[str, type[Adam]] = {"adam": eager(Adam), "adamw": eager(AdamW)}
"""By the name that documents use."""
