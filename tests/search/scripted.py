"""A worker that does what workers must survive, and an observer that keeps what it is told."""

import errno
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import ray
from ray import tune

from search.common.trial import LiveTrial, Verdict
from trainables.folder import FolderError


class Scripted(tune.Trainable):
    """Reports one made-up epoch after another; `data` scripts what goes wrong."""

    def setup(self, config: dict[str, Any], data: dict[str, str]) -> None:  # type: ignore[override]
        self.script = data
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.settings = new_config
        self.epoch = new_config["acknowledged"]
        return True

    def step(self) -> dict[str, Any]:
        self.epoch += 1
        number = self.settings["number"]
        marker = Path(self.script["folder"]) / f"died-{number}"
        if self.script.get("die") == str(number) and not marker.exists():
            marker.touch()
            os._exit(1)
        if self.script.get("freeze") == str(number) and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGSTOP)
        if self.script.get("full") == str(number) and not marker.exists():
            marker.touch()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if self.script.get("away") == str(number) and not marker.exists():
            marker.touch()
            raise FolderError("s3://bucket/x cannot be used: no answer")
        if self.script.get("unable") == str(number) and not marker.exists():
            from trainables.device import PrecisionError  # with torch, which others do without

            marker.touch()
            raise PrecisionError("precision bfloat16 needs another processor")
        if self.script.get("raise") in {str(number), "all"}:
            raise ValueError(f"trial {number} cannot be trained")
        if self.script.get("meet"):
            self.meet(number, number ^ 1)
        gpus = [str(gpu) for gpu in ray.get_gpu_ids()]
        (Path(self.script["folder"]) / f"gpu-{number}").write_text(",".join(gpus))
        own = ray.get_runtime_context().get_runtime_env_string()
        (Path(self.script["folder"]) / "environment").write_text(own)
        last = self.epoch == self.settings["parameters"]["epochs"]
        value = 0.5 + number / 100 + self.epoch / 1000
        memory = {"memory_mb": 2000.0} if self.settings["gpus"] else {}
        return {
            "epoch": self.epoch,
            "metrics": {"val_accuracy": value, "val_loss": 1 - value} | memory,
            "device_mb": None if self.script.get("gone") else 8000.0,
            "machine": "{}",
            "outcome": "complete" if last else "running",
            "precision": "float32",
            "damaged": ("epoch-000001.pt is damaged",) if self.script.get("damage") else (),
        }

    def meet(self, number: int, other: int) -> None:
        """Wait for the trial with which this one must run at once."""
        place = Path(self.settings["checkpoints"]).parent
        place.mkdir(exist_ok=True)
        (place / f"met-{number}").touch()
        while not (place / f"met-{other}").exists():
            time.sleep(0.01)


ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])


class Recorder:
    """Keeps what the engine tells."""

    def __init__(self) -> None:
        self.losses: list[tuple[int, str, bool]] = []
        self.epochs = 0
        self.rooms: list[int] = []
        self.gpus: list[float] = []

    def room(self, slots: int, gpus: float) -> None:
        self.rooms.append(slots)
        self.gpus.append(gpus)

    def asked(self, live: LiveTrial) -> None:
        pass

    def reported(self, live: LiveTrial, metrics: dict[str, float], verdict: Verdict) -> None:
        self.epochs += 1

    def lost(self, live: LiveTrial, reason: str, *, again: bool) -> None:
        self.losses.append((live.number, reason, again))

    def damaged(self, live: LiveTrial, what: str) -> None:
        self.losses.append((live.number, what, True))
