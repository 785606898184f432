"""docker-compose, as the test of the installation uses it."""

import json
import os
import secrets
import subprocess
import tempfile
from pathlib import Path

from tests.servers import free_port

DRIVERS = """
for process in /proc/[0-9]*; do
    tr '\\0' ' ' < $process/cmdline | grep -q '^python -m search.service.drive' &&
        kill -USR2 ${process#/proc/}
done
sleep 1
tail -n 100 /tmp/ray/session_latest/logs/job-driver-*.log
"""
"""Lets each driver say where it is, and prints what all of them said."""

ROOT = Path(__file__).parents[2]


class Containers:
    """One installation under a project name of its own, with its own secrets and ports."""

    def __init__(self, project: str) -> None:
        self.project = project
        self.port, self.mlflow_port = free_port(), free_port()
        settings = {
            "POSTGRES_PASSWORD": secrets.token_hex(16),
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "GATETUNE_PORT": str(self.port),
            "MLFLOW_PORT": str(self.mlflow_port),
            "GATETUNE_MAX_JOBS": "3",
        }
        self.folder = tempfile.TemporaryDirectory(prefix="gatetune-compose-")
        self.settings = Path(self.folder.name) / "env"
        self.settings.write_text("".join(f"{k}={v}\n" for k, v in settings.items()))

    def compose(self, *arguments: str, check: bool = True) -> str:
        """Run docker-compose and return what it prints on standard output."""
        command = ["docker-compose", "--project-name", self.project]
        command += ["--env-file", str(self.settings), *arguments]
        done = subprocess.run(
            command, cwd=ROOT, text=True, stdout=subprocess.PIPE, check=check, env=os.environ
        )
        return done.stdout

    def up(self, workers: int) -> None:
        """Start what does not run, and wait until the service is healthy."""
        self.compose("up", "--detach", "--no-recreate", "--scale", f"ray-worker={workers}")

    def kill(self, service: str, number: int) -> None:
        """Kill a container of a service at once."""
        name = f"{self.project}_{service}_{number}"
        subprocess.run(["docker", "kill", name], check=True, stdout=subprocess.PIPE)

    def has_said(self, service: str, number: int, words: str) -> bool:
        """Whether a container has printed some words."""
        name = f"{self.project}_{service}_{number}"
        command = ["docker", "logs", name]
        done = subprocess.run(
            command, check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        return words in done.stdout

    def name_inside(self, service: str, number: int) -> str:
        """What a container takes for the name of its machine."""
        name = f"{self.project}_{service}_{number}"
        command = ["docker", "inspect", "--format", "{{.Config.Hostname}}", name]
        return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout.strip()

    def run(self, service: str, *command: str, check: bool = True) -> str:
        """Run a command in the container of a service and return its standard output."""
        return self.compose("exec", "-T", service, *command, check=check)

    def left(self) -> list[str]:
        """Containers, volumes and networks that still exist."""
        found: list[str] = []
        for kind in ("container", "volume", "network"):
            is_container = kind == "container"
            every, shown = (["--all"], "{{.Names}}") if is_container else ([], "{{.Name}}")
            label = f"label=com.docker.compose.project={self.project}"
            done = subprocess.run(
                ["docker", kind, "ls", *every, "--filter", label, "--format", shown],
                check=True, text=True, stdout=subprocess.PIPE,
            )  # fmt: skip
            found += done.stdout.split()
        return found

    def states(self) -> dict[str, str]:
        """State of each container."""
        label = f"label=com.docker.compose.project={self.project}"
        done = subprocess.run(
            ["docker", "ps", "--all", "--filter", label, "--format", "{{json .}}"],
            check=True, text=True, stdout=subprocess.PIPE,
        )  # fmt: skip
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        return {row["Names"]: row["Status"] for row in rows}

    def last_words(self) -> str:
        """What the containers and the drivers said last, and how the jobs and containers stand."""
        said = self.compose("logs", "--no-color", "--tail", "30", check=False)
        drivers = self.run("ray-head", "sh", "-c", DRIVERS, check=False)
        jobs = self.run("gatetune", "gatetune", "jobs", "--json", check=False)
        return f"{said}\n{drivers}\n{jobs}\n{json.dumps(self.states(), indent=1)}"

    def down(self) -> None:
        """Stop and remove all, volumes too."""
        self.compose("down", "--volumes", "--timeout", "20", check=False)
        self.folder.cleanup()
