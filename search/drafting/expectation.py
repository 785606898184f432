"""How long a job may be expected to take before any of it has run."""

import statistics

from search.document.spec import JobSpec
from search.study.cost import Cost, Sizes
from search.study.forecast import draws

SURVIVE = 0.75
"""What part of its epochs a trial has on average before the pruner ends it."""

REPORT_S = 0.01
"""Seconds that an epoch takes beside its training: its report, and what follows from it."""

JOB_S = 30.0
"""Seconds that a job takes beside its trials: workers start, and its winner is exported."""


def expected_s(spec: JobSpec, sizes: Sizes, at_once: int) -> float:
    """Return the seconds that a job takes, by what its networks cost and what is around them.

    Args:
        spec: the job.
        sizes: of its data.
        at_once: trials that run beside each other.
    """
    cost = Cost(sizes)
    each = statistics.fmean(
        config.epochs * (cost.seconds(cost.work(config)) + REPORT_S) for config in draws(spec)
    )
    searched = max(0, spec.budget.trials - len(spec.baseline))
    full = len(spec.baseline) + spec.most_replicates
    return JOB_S + each * (SURVIVE * searched + full) / max(1, at_once)
