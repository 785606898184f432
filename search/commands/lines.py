"""A job that is followed from elsewhere, line by line."""

from collections.abc import Iterator
from typing import Any

from search.common.labels import OPEN, counted, format_value


class Lines:
    """Turns events into the lines that a person reads."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.study: str = job["id"]
        self.metric: str = job["objective"]["metric"]
        self.budget: int = job["trials"]["budget"]
        self.pick = max if job["objective"]["direction"] == "maximize" else min
        self.best: dict[tuple[str, int], float] = {}
        self.epochs: dict[tuple[str, int], int] = {}
        self.ended: set[int] = set()
        """Trials of the search that have ended; those that confirm are not in the budget."""
        self.status = ""

    def of(self, kind: str, content: dict[str, Any]) -> Iterator[str]:
        """Yield the lines of one event."""
        if kind == "epoch":
            self.note(content)
        elif kind == "job" and content["status"] != self.status:
            self.status = content["status"]
            yield self.status + (f": {content['message']}" if content["message"] else "")
        elif kind == "trial" and content["state"] not in OPEN:
            key = (content["study"], content["trial"])
            best, epochs = self.best.get(key), self.epochs.get(key, 0)
            said = [content["name"], f"{content['state']} after {counted(epochs, 'epoch')}"]
            if best is not None:
                said.append(f"{self.metric} {format_value(best)}")
            if content["study"] == self.study:
                self.ended.add(content["trial"])
                said.append(f"{len(self.ended)}/{self.budget}")
            yield "  ".join(said)

    def note(self, epoch: dict[str, Any]) -> None:
        """Remember an epoch of a trial."""
        key = (epoch["study"], epoch["trial"])
        self.epochs[key] = max(self.epochs.get(key, 0), epoch["epoch"])
        value = epoch["metrics"].get(self.metric)
        if value is not None:
            self.best[key] = self.pick(value, self.best.get(key, value))
