"""The log of a service, in a process of its own: whoever sets it up changes the whole process."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from search.common.logs import last_words

LOGGING = """
import logging, warnings
from search.common.logs import write_json
write_json()
logger = logging.getLogger("gatetune.test")
logger.debug("nobody asked for this")
logger.info("asked http://me:secret@mlflow:5000")
logger.info("trial %d ended", 3, extra={"job": "tiny-0001", "trial": 3})
try:
    {}["batch"]
except KeyError:
    logger.exception("the driver\\nfailed", extra={"job": "tiny-0001"})
warnings.warn("old")
"""


def test_every_event_is_a_line_of_json_that_says_what_it_is_about() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOGGING], capture_output=True, text=True, check=True
    )
    assert done.stdout == ""
    asked, ended, failed, warned = (json.loads(line) for line in done.stderr.splitlines())
    assert asked["message"] == "asked http://mlflow:5000"
    assert ended.pop("time")
    assert ended == {
        "level": "INFO", "logger": "gatetune.test", "message": "trial 3 ended", "job": "tiny-0001",
        "trial": 3,
    }  # fmt: skip
    assert (failed["level"], failed["message"]) == ("ERROR", "the driver\nfailed")
    assert failed["exc_info"].endswith("KeyError: 'batch'")
    assert (warned["level"], warned["logger"]) == ("WARNING", "py.warnings")
    assert "UserWarning: old" in warned["message"]


TWICE = """
import logging, sys
from pathlib import Path
from search.common.logs import write_json
write_json(file=Path(sys.argv[1]), job="tiny-0001")
logging.getLogger("gatetune.test").info("began")
"""


@pytest.mark.parametrize("there", [True, False])
def test_a_file_gets_each_line_once_wherever_standard_error_goes(
    tmp_path: Path, there: bool
) -> None:
    file, other = tmp_path / "logs" / "driver.log", tmp_path / "kept-by-a-cluster.log"
    file.parent.mkdir()
    with (file if there else other).open("ab") as stream:
        command = [sys.executable, "-c", TWICE, str(file)]
        subprocess.run(command, stderr=stream, check=True)
    for log in {file} if there else {file, other}:
        (line,) = log.read_text().splitlines()
        assert json.loads(line)["message"] == "began"


@pytest.mark.parametrize(
    ("log", "said"),
    [
        ("", "nothing"),
        ('{"message": "began"}\n\n', "began"),
        ('{"message": ""}\n', "nothing"),
        ('{"message": "failed", "exc_info": "Traceback:\\n  File\\nKeyError: 1"}\n', "KeyError: 1"),
        ("x" * 900 + "\nFatal Python error\n", "Fatal Python error"),
        ("[1]", "[1]"),
        ("x" * 900, "x" * 500),
    ],
)
def test_the_last_words_are_one_line_for_people(log: str, said: str) -> None:
    assert last_words(log) == said
