"""What a person reads at the end."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tests.chaos.faults import FAULTS
from tests.chaos.finding import Finding, Kind

COLUMNS: dict[Kind, str] = {
    "lost": "trials lost",
    "doubled": "doubled",
    "orphaned": "runs orphaned",
    "epochs": "epochs missing",
    "repaired": "repaired by hand",
    "other": "other",
}


@dataclass(frozen=True)
class Outcome:
    """One job, the faults that it met, and what was wrong in the end."""

    seed: int
    database: str
    planned: int
    injected: Counter[str]
    findings: list[Finding]
    folder: Path

    @property
    def again(self) -> str:
        """Where to look, and how to see it once more."""
        return (
            f"job of seed {self.seed}: {len(self.findings)} findings; its files are in "
            f"{self.folder}; again with "
            f"`make chaos SEED={self.seed} FAULTS={self.planned} DATABASE={self.database}`"
        )

    @property
    def counts(self) -> Counter[str]:
        return Counter(finding.kind for finding in self.findings)


def report(console: Console, outcomes: list[Outcome], seed: int, seconds: float) -> None:
    """Print the table, and every finding in words."""
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    table.add_column("fault", no_wrap=True)
    for name in ("times", *COLUMNS.values()):
        table.add_column(name, justify="right")
    for name in FAULTS:
        met = [outcome for outcome in outcomes if outcome.injected[name]]
        times = sum(outcome.injected[name] for outcome in met)
        if times:
            table.add_row(name, str(times), *cells(met))
    table.add_section()
    total = sum(outcome.injected.total() for outcome in outcomes)
    table.add_row("all", str(total), *cells(outcomes))
    console.print(table)
    if any(outcome.findings for outcome in outcomes):
        console.print("What is wrong with a job counts for every fault that it met, in all once.")
    databases = Counter(outcome.database for outcome in outcomes)
    jobs = ", ".join(f"{number} on {database}" for database, number in sorted(databases.items()))
    console.print(f"seed {seed}, jobs: {jobs}, {seconds / 60:.1f} min", highlight=False)
    for outcome in outcomes:
        if outcome.findings:
            console.print(escape(outcome.again), style="red", highlight=False, soft_wrap=True)


def cells(outcomes: list[Outcome]) -> list[str]:
    """Return the counts of each kind of finding."""
    counts: Counter[str] = sum((outcome.counts for outcome in outcomes), Counter())
    return [str(counts[kind]) for kind in COLUMNS]
