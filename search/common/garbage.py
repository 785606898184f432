"""How a process of ours looks for garbage: seldom, and not when it ends."""

import atexit
import gc


def collect_seldom() -> None:
    """Spare a process what it costs to look through all that its imports have made.

    They make much and no garbage: looking for it costs a short command a twentieth, and at the end
    of a process that has imported PyTorch and MLflow two seconds, for which others wait.
    """
    gc.set_threshold(100_000)
    atexit.register(gc.freeze)
