"""Coverage of this project's packages by SlipCover: `pytest -p tests.coverage`.

SlipCover counts in what the packages' code is compiled to, so that libraries run as fast as ever.
What traces, as coverage.py does on Python 3.11, slows them too: Optuna and MLflow to half.
Migrations, which Alembic loads by their paths, count as never run: SlipCover's way for such files
has pytest load packages of tests as plain modules, and then it finds none of what lies in them.
SlipCover's own plugin for pytest does not know pytest 9.2.
"""

import ast
import json
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType
from typing import Any

import pytest
import slipcover
from slipcover.branch import preinstrument
from slipcover.config import read_config

SETTINGS = read_config()
SOURCE = SETTINGS["source"].split(",")
COUNTED = slipcover.Slipcover(branch=SETTINGS["branch"], source=SOURCE)


class CountingLoader(SourceFileLoader):
    """Loads a module so that it counts which of its lines and branches run."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        code = compile(preinstrument(ast.parse(self.get_data(path))), path, "exec")
        counting: CodeType = COUNTED.instrument(code)
        return counting

    def exec_module(self, module: ModuleType) -> None:
        COUNTED.register_module(module)
        super().exec_module(module)


class CountingFinder(MetaPathFinder):
    """Finds the modules of the packages that are measured, and no others."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] not in SOURCE:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = CountingLoader(fullname, spec.loader.path)
        return spec


sys.meta_path.insert(0, CountingFinder())

TOTAL = pytest.StashKey[dict[str, Any]]()

OF_WORKERS = list[dict[str, Any]]()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Keep what a worker of pytest-xdist counted; one that died has told nothing."""
    if hasattr(node, "workeroutput"):
        OF_WORKERS.append(json.loads(node.workeroutput["coverage"]))


@pytest.hookimpl(tryfirst=True)  # before the summary is printed
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tell the controller what a worker counted; in the controller, fail where it is too little."""
    counted = COUNTED.get_coverage()
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["coverage"] = json.dumps(counted)
        return
    for one in OF_WORKERS:
        slipcover.merge_coverage(counted, one)
    session.config.stash[TOTAL] = counted
    passed = session.exitstatus == pytest.ExitCode.OK and not session.config.option.collectonly
    if passed and percent(counted) < SETTINGS["fail-under"]:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def percent(counted: dict[str, Any]) -> float:
    """Return the share of lines and branches that ran."""
    share: float = counted["summary"]["percent_covered"]
    return share


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print what did not run, file by file, and the total."""
    total = config.stash[TOTAL]
    slipcover.print_coverage(total, outfile=terminalreporter, skip_covered=True)
    least, found = SETTINGS["fail-under"], percent(total)
    terminalreporter.write_line(f"Coverage: {found:.2f}%; at least {least}% are required")
