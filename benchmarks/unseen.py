"""`gatetune` that has not seen the main job's digits: its portfolio was made of other data alone.

python -m benchmarks.unseen launch jobs/mnist-5k.yaml
"""

import json
import tempfile
from pathlib import Path

from benchmarks.curves import TABLE
from benchmarks.portfolio import portfolio
from benchmarks.replay import Table
from search import portfolio as shipped
from search.cli import main

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        shipped.FILE = Path(folder) / "portfolio.json"
        shipped.FILE.write_text(json.dumps({"entries": portfolio([Table(TABLE, "digits")])}))
        main()
