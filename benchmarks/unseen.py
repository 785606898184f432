"""`gatetune` with another portfolio, so that what it begins with does not know the job's data.

python -m benchmarks.unseen PORTFOLIO.json launch jobs/mnist-5k.yaml
"""

import json
import sys
from pathlib import Path

from search.study import portfolio as shipped


def write_portfolio(path: Path, source: str) -> None:
    """Write the portfolio as it is without a job's own data."""
    from benchmarks.portfolio import elsewhere

    path.write_text(json.dumps({"entries": elsewhere(source)}), encoding="utf-8")


if __name__ == "__main__":
    from search.commands.cli import main

    shipped.FILE = Path(sys.argv.pop(1))
    main()
