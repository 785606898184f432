"""How long a job may be expected to take before any of it has run."""

import statistics

from search.cost import Cost, Sizes
from search.forecast import draws
from search.spec import JobSpec

SURVIVE = 0.75
"""What part of its epochs a trial has on average before the pruner ends it."""


def expected_s(spec: JobSpec, sizes: Sizes, at_once: int) -> float:
    """Return the seconds of search and confirmation on so many workers, by what networks cost.

    Args:
        spec: the job.
        sizes: of its data.
        at_once: trials that run beside each other.
    """
    cost = Cost(sizes)
    each = statistics.fmean(
        config.epochs * cost.seconds(cost.work(config)) for config in draws(spec)
    )
    searched = max(0, spec.budget.trials - len(spec.baseline))
    full = len(spec.baseline) + spec.most_replicates
    return each * (SURVIVE * searched + full) / max(1, at_once)
