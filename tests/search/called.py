"""Commands as tests call them, and what a refusal must look like."""

from typer.testing import CliRunner, Result

from search.commands.cli import app


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def refused(result: Result, *parts: str) -> None:
    """Check that a request was called wrong in one message and nothing else."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("gatetune: ")
    assert result.stderr.count("gatetune: ") == 1
    assert "Traceback" not in result.stderr
    for part in parts:
        assert part in result.stderr
