"""Short names and words for configurations, runs and jobs, for people."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from trainables.config import TrialConfig

OPEN = ("running", "waiting")
"""States of trials that have not ended."""

BARS = "▁▂▃▄▅▆▇█"
"""Characters of which a line of values is drawn, from the least to the most."""


def describe(config: TrialConfig) -> str:
    """Return a configuration in a few words, such as ``GRU 96x2 lr 0.0043``."""
    parts = [f"{config.cell.upper()} {config.hidden_size}x{config.layers}"]
    if config.bidirectional:
        parts.append("both ways")
    parts.append(f"lr {config.learning_rate:.2g}")
    if config.dropout and config.layers > 1:
        parts.append(f"dropout {config.dropout:.2g}")
    return " ".join(parts)


def run_name(number: int, config: TrialConfig, attrs: Mapping[str, Any]) -> str:
    """Return the name of a trial's MLflow run; equal widths sort by number."""
    name = f"{number:03d} {describe(config)}"
    if "baseline" in attrs:
        name += " (baseline)"
    return f"confirm {name} seed {attrs['replicate']}" if "replicate" in attrs else name


def setting(value: Any) -> str:
    """Return a parameter's value, numbers short."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def counted(number: float, what: str) -> str:
    """Return so many of something, such as ``1 seed`` or ``0.5 CPUs``."""
    told = str(number) if isinstance(number, int) else f"{number:g}"
    return f"{told} {what}{'s' * (number != 1)}"


def age(moment: float) -> str:
    """Return how long ago a moment was, in whole units: ``42 s``, ``3 min``, ``2 d``."""
    seconds = max(0.0, time.time() - moment)
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return f"{seconds:.0f} s"


def format_value(value: float | None) -> str:
    """Return a metric with four decimals, or digits where that says little; a dash for none."""
    if value is None:
        return "–"
    return f"{value:.4f}" if is_plain(value) else f"{value:.4g}"


def cost(value: float | None) -> str:
    """Return what a model costs, or may, such as ``1,048,576`` or ``2.346``; a dash for none."""
    if value is None:
        return "–"
    whole = value == round(value) or abs(value) >= 1000
    return f"{value:,.0f}" if whole else f"{value:.4g}"


def is_plain(value: float) -> bool:
    """Return whether four decimals say a value."""
    return value == 0 or 0.01 <= abs(value) < 1000


def mean_and_deviation(mean: float | None, deviation: float | None) -> str:
    """Return ``0.9731 ± 0.0021``, in digits where four decimals say little of the mean."""
    if mean is None or deviation is None:
        return format_value(mean)
    tail = f"{deviation:.4f}" if is_plain(mean) else f"{deviation:.2g}"
    return f"{format_value(mean)} ± {tail}"


def between(limits: Sequence[float] | None) -> str:
    """Return an interval, such as ``0.9548 to 0.9774``; a dash for none."""
    return "–" if limits is None else " to ".join(map(format_value, limits))


def lead(value: float, low: float, high: float) -> tuple[str, str]:
    """Return how much better something is, or worse, and the interval of that.

    Such as ``better by 0.0262`` and ``0.0124 to 0.0413``.
    """
    if value < 0:
        return f"worse by {format_value(-value)}", between((-high, -low))
    return f"better by {format_value(value)}", between((low, high))


def duration(seconds: float | None) -> str:
    """Return a span of time as people read it: ``42 s``, ``3:07 min``, ``2:05 h``."""
    if seconds is None:
        return "? s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d} min"
    return f"{whole // 3600}:{whole % 3600 // 60:02d} h"


def probability(value: float) -> str:
    """Return a probability with three digits; draws know no more."""
    return f"{min(max(value, 0.001), 0.999):.3f}"


def ended(shown: dict[str, Any]) -> int:
    """Return how many trials of a job's search have ended."""
    trials = shown["trials"]
    return int(trials["total"] - sum(trials[state] for state in OPEN))


def against(job: dict[str, Any]) -> str | None:
    """Return what a confirmed winner is to the baseline; None where the document has none."""
    confirmed = job["confirmed"]
    if confirmed is None or confirmed["beats_baseline"] is None:
        return None
    if all(one["baseline"] for one in job["compared"]):
        return "the baseline stands: no other trial was there to be compared"
    if job["compared"][0]["baseline"]:
        return "the baseline stands: nothing that was tried is surely better"
    if confirmed["baseline_params"] is None:
        return "no baseline completed to compare with"
    word = "beats" if confirmed["beats_baseline"] else "does not surely beat"
    return f"the winner {word} the baseline"
