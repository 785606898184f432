"""Examines, mends, and examines again, until nothing is left that can be mended."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace

from sqlalchemy.exc import NoResultFound

from search.database.lease import Lease, LeaseHeldError
from search.study.retention import delete
from search.upkeep.doctor.examination import Examiner, JobReport, Report
from search.upkeep.doctor.finding import Finding
from search.upkeep.doctor.hands import Hands
from search.upkeep.doctor.leftovers import free_lease
from search.upkeep.doctor.repair import OF_TRACKING, TO_DELIVER, Repairs
from search.upkeep.doctor.steps import Delete, RestoreChampion

IN_MLFLOW = (*OF_TRACKING, *TO_DELIVER)
"""Steps whose success only MLflow can show."""

IN_FILES = (Delete, RestoreChampion)
"""Steps whose success only the files can show."""

ROUNDS = 4
"""Rounds of repairs: mending a row of a run shows what MLflow has of it, and so on."""


def treat(examiner: Examiner, job_id: str) -> JobReport:
    """Return what was wrong with a job, what of it is repaired, and what is left.

    Raises:
        LeaseLostError: a driver took the job over.
        DatabaseAwayError: the database went away.
    """
    report = examiner.examine(job_id)
    seen: dict[tuple[str, str], Finding] = {}
    faults: list[str] = []
    for _ in range(ROUNDS):
        before = {identity(one): one for one in report.findings}
        seen |= before
        steps = [one.step for one in report.findings if one.step is not None]
        if report.running or not steps:
            break
        try:
            free_lease(examiner.store, job_id)
            with Lease(examiner.store, job_id) as lease:
                # A driver may have come and gone, whose files the examination does not know.
                fits = examiner.running(job_id).revision == report.revision
                if fits:
                    hands = Hands(examiner.home, examiner.store, examiner.optuna, lease)
                    faults = Repairs(hands).make(steps)
        except LeaseHeldError:
            return examiner.running(job_id)
        report = examiner.examine(job_id)
        if fits and {identity(one): one for one in report.findings} == before:
            break
    return told(report, seen, faults)


def reports(see: Callable[[str], JobReport], job_ids: Iterable[str]) -> list[JobReport]:
    """Return what is seen of each job, but for those that somebody deletes meanwhile."""
    found = []
    for job_id in job_ids:
        with suppress(NoResultFound):
            found.append(see(job_id))
    return found


def identity(finding: Finding) -> tuple[str, str]:
    """Return what makes two findings the same one."""
    return finding.kind, finding.subject


def told(report: JobReport, seen: dict[tuple[str, str], Finding], faults: list[str]) -> JobReport:
    """Return the last report, with what was repaired before it, and what could not be."""
    left = {identity(one) for one in report.findings}
    kinds = {one.kind for one in report.findings}
    unseen = (
        *(IN_MLFLOW if "mlflow-unreachable" in kinds else ()),
        *(IN_FILES if "checkpoints-unreachable" in kinds else ()),
    )
    gone = [
        replace(one, repaired=not isinstance(one.step, unseen))
        for key, one in seen.items()
        if key not in left
    ]
    failed = [Finding("repair-failed", "repair", fault) for fault in faults] if left else []
    return replace(report, findings=gone + report.findings + failed)


def doctor(examiner: Examiner, job_ids: Iterable[str], *, repair: bool, everything: bool) -> Report:
    """Examine jobs, and with ``repair`` mend them.

    Args:
        examiner: of the installation.
        job_ids: the jobs.
        repair: whether to mend what can be mended.
        everything: whether these are all jobs, and what belongs to none is to be examined too.
    """
    see = (lambda job_id: treat(examiner, job_id)) if repair else examiner.examine
    report = Report(reports(see, job_ids))
    if everything:
        report.findings = examiner.installation()
        if repair:
            delete(s.item for one in report.findings if isinstance(s := one.step, Delete))
            left = {identity(one) for one in examiner.installation()}
            report.findings = [
                replace(one, repaired=identity(one) not in left) for one in report.findings
            ]
    return report
