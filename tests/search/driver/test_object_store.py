"""A whole job whose checkpoints lie in an object store, from its launch to its deletion."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from search.winner.fetching import FILES
from tests.search.called import call
from tests.servers import ObjectStore

DOCUMENT = """
name: tiny
data: {source: digits, validation: 0.2}
space: {hidden_size: {low: 4, high: 16, step: 4}, learning_rate: {low: 1.0e-2, high: 1.0e-1}}
training: {epochs: 3, layers: 1, cell: gru}
pruner: none
budget: {trials: 4}
workers: {concurrent: 1}
confirm: {top: 1, seeds: 2}
"""


def ask(*arguments: str) -> Any:
    done = call(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_a_job_of_which_no_disk_is_shared(
    home: Path, tmp_path: Path, object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = object_store.make_bucket()
    monkeypatch.setenv("GATETUNE_CHECKPOINTS", url)
    (tmp_path / "tiny.yaml").write_text(DOCUMENT)
    launch = [sys.executable, "-m", "search", "launch", str(tmp_path / "tiny.yaml"), "--json"]
    done = subprocess.run(launch, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    job_id = json.loads(done.stdout)["id"]

    keys = [key for key in object_store.objects(url) if not key.endswith("/")]
    kept = [key.removeprefix(f"checkpoints/{job_id}/") for key in keys]
    assert kept == [*sorted(f"champion/{name}" for name in FILES), *kept[len(FILES) :]]
    (best,) = kept[len(FILES) :]
    assert best.startswith("search/")
    assert best.endswith("/best.safetensors")
    assert not (home / "checkpoints").exists()

    ask("fetch", job_id, "--to", str(tmp_path / "best"))
    model = torch.export.load(tmp_path / "best" / "model.pt2").module()
    assert model(torch.zeros(3, 8, 8)).shape == (3, 10)
    assert ask("doctor")["agree"]

    ask("delete", job_id)
    assert object_store.objects(url) == ["checkpoints/"]
