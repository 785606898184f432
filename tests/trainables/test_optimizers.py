"""Torch's optimizers, without its compiler."""

import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Adam, AdamW

from trainables.optimizers import OPTIMIZERS

TRAIN = """
import sys
import torch
from trainables.config import TrialConfig
from trainables.datasets import load_dataset
from trainables.training import Trainer

trainer = Trainer(
    TrialConfig(hidden_size=8, layers=1, epochs=2, clip_norm=1.0, schedule="one-cycle"),
    load_dataset("digits", validation=0.2, seed=0, data_dir=None),
    seed=0, device=torch.device("cpu"), metric="val_loss", direction="minimize",
)
trainer.run_epoch()
trainer.load_state(trainer.state())
trainer.run_epoch()
print([name for name in sys.modules if name.startswith("torch._dynamo")])
"""


def test_training_does_not_import_torchs_compiler() -> None:
    done = subprocess.run(
        [sys.executable, "-c", TRAIN], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


def trained(kind: type[Adam]) -> dict[str, Any]:
    """Return model and optimizer after some steps and a state that was taken up again."""
    torch.manual_seed(0)
    model = nn.Linear(4, 2)
    optimizer = kind(model.parameters(), lr=0.1, weight_decay=0.01, fused=True)
    for _ in range(3):
        optimizer.zero_grad()
        loss: Tensor = model(torch.ones(1, 4)).square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.load_state_dict(optimizer.state_dict())
    return {"model": model.state_dict(), "optimizer": optimizer.state_dict()}


@pytest.mark.parametrize(("name", "kind"), [("adam", Adam), ("adamw", AdamW)])
def test_they_learn_as_torchs_own(name: str, kind: type[Adam]) -> None:
    torch.testing.assert_close(trained(OPTIMIZERS[name]), trained(kind), rtol=0, atol=0)
