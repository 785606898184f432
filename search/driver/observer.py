"""Who is told what happens while trials run."""

from typing import Protocol

from search.common.trial import LiveTrial, Verdict


class Observer(Protocol):
    """Who wants to know what happens, in the driver's thread; must be quick and not raise."""

    def room(self, slots: int, gpus: float) -> None:
        """So many trials run at once now, with so many GPUs each; 0 while others have all."""

    def asked(self, live: LiveTrial) -> None:
        """A trial starts, or starts again."""

    def reported(self, live: LiveTrial, metrics: dict[str, float], verdict: Verdict) -> None:
        """An epoch was committed."""

    def lost(self, live: LiveTrial, reason: str, *, again: bool) -> None:
        """A trial lost its worker or raised; it will be tried `again`, or has ended."""

    def damaged(self, live: LiveTrial, what: str) -> None:
        """A checkpoint of a trial could not be used."""
