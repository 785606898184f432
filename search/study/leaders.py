"""The complete trials of a search whose weights are kept, while it goes on."""

from bisect import insort


class Leaders:
    """The best so far; of equals the earlier ones.

    Args:
        most: how many.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.best: list[tuple[float, int]] = []
        """Worst first."""
        self.dropped: list[int] = []

    def add(self, number: int, worth: float) -> None:
        """Add a complete trial; the more ``worth`` the better."""
        insort(self.best, (worth, -number))
        if len(self.best) > self.most:
            self.dropped.append(-self.best.pop(0)[1])

    def outranked(self) -> list[int]:
        """Return, once, the trials whose weights nobody needs since better ones came."""
        dropped, self.dropped = self.dropped, []
        return dropped
