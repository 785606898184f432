"""How long a job may be expected to take before any of it has run."""

import statistics

from search.document.space import Space
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
    baselines, hours = len(spec.baseline), spec.budget.hours
    drawn = Space.of(spec).most(max(0, spec.budget.trials - baselines))
    slots = max(1, at_once)
    search = each * (SURVIVE * drawn + baselines) / slots
    if hours is not None:
        search = min(search, 3600 * hours)
    return JOB_S + search + each * spec.most_replicates / slots
