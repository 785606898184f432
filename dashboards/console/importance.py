"""Which parameters matter, told once for all who watch: of many trials it takes seconds."""

from collections import OrderedDict
from threading import Lock

from dashboards.console.drawing import Figure
from dashboards.console.pictures import importance
from dashboards.console.searched import Searched
from search.database.storage import using_study
from search.database.store import Store
from search.report import figures

KEPT = 32
"""Jobs of which the newest picture is kept."""


class Importances:
    """Draws importances, and again only when more trials are complete."""

    def __init__(self) -> None:
        self.kept: OrderedDict[tuple[str, str], tuple[int, Figure]] = OrderedDict()
        self.lock = Lock()

    def draw(self, found: Searched, store: Store) -> Figure:
        """Return the picture; one is made at a time, so that a service has a processor left."""
        key = (str(store.engine.url), found.job.id)
        with self.lock:
            known, complete = self.kept.get(key), len(found.complete)
            if known is None or known[0] != complete:
                known = (complete, importance(shares(found, store), found))
                self.kept[key] = known
                self.kept.move_to_end(key)
                if len(self.kept) > KEPT:
                    self.kept.popitem(last=False)
            return known[1]


IMPORTANCES = Importances()


def shares(found: Searched, store: Store) -> dict[str, float]:
    """Return each parameter's share of the differences; none where there are too few trials."""
    try:
        with using_study(store, found.job.id) as study:
            return figures.shares(study)
    except KeyError:
        return {}
