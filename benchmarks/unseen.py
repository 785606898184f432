"""`gatetune` with another portfolio, so that what it begins with does not know the job's data.

python -m benchmarks.unseen PORTFOLIO.json launch jobs/mnist-5k.yaml
"""

import json
import sys
from pathlib import Path

from search import portfolio as shipped


def write_portfolio(path: Path, source: str) -> None:
    """Write the portfolio that a single data set of `curves` gives."""
    from benchmarks.curves import TABLE
    from benchmarks.portfolio import portfolio
    from benchmarks.replay import Table

    path.write_text(json.dumps({"entries": portfolio([Table(TABLE, source)])}), encoding="utf-8")


if __name__ == "__main__":
    from search.cli import main

    shipped.FILE = Path(sys.argv.pop(1))
    main()
