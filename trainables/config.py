"""The settings of one trial, model and training alike; light to import, since commands need it."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Parameters = dict[str, str | int | float | bool | None]
"""Some of a trial's settings, by name."""


Precision = Literal["float32", "bfloat16"]
"""What matrix products are computed in."""

WORTH_IT = 64
"""The hidden size from which an LSTM is faster in bfloat16, where a processor multiplies it faster.

`benchmarks.precision` has the figures of two layers and batches of 64. In narrower networks turning
numbers into bfloat16 and back may take what faster products save. A processor without it takes 2 to
4 times as long as in float32 at every size; one that has it and hides its AMX 1.4 to 1.6 times with
LSTMs (`trainables.device`)."""

WORTH_IT_IN_AMX = 192
"""The same for a GRU, which is many small products, where they are multiplied in AMX: narrower ones
lose in batches of 16."""

WORTH_IT_ON_GPU = 192
"""The same for LSTMs and GRUs on a GPU, see `benchmarks.gpu_rate`: up to 128 units cuDNN's kernels
for float32 are as fast, and nothing has to be turned into bfloat16."""


SHAPES = 8
"""To how many lengths at the most batches of unequal lengths are padded on a GPU, each a graph."""


def measured_at_once(steps: int) -> int:
    """Return how many sequences are measured together: 256, and of more than 512 steps fewer.

    A trial that has memory for its batches, which may be small, is to have enough for these.
    """
    return max(1, min(256, 2**17 // steps))


class TrialConfig(BaseModel):
    """Everything that one trial trains with. Each field may be fixed or searched."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    cell: Literal["lstm", "gru"] = Field("lstm", description="recurrent cell")
    hidden_size: int = Field(128, ge=1, le=8192, description="units a layer and direction")
    layers: int = Field(2, ge=1, le=32, description="stacked recurrent layers")
    dropout: float = Field(
        0.0, ge=0.0, lt=1.0, description="dropout between layers, of which it takes two"
    )
    bidirectional: bool = Field(default=False, description="read each sequence in both directions")
    head: Literal["all-steps", "last", "mean"] = Field(
        "all-steps",
        description="what the linear layer sees: all steps' outputs, the last one, or their mean",
    )
    learning_rate: float = Field(
        1e-2, gt=0.0, le=100.0, description="Adam's rate; the peak rate of a one-cycle schedule"
    )
    epochs: int = Field(6, ge=1, le=100_000, description="passes over the training part")
    batch_size: int = Field(64, ge=1, le=1_000_000, description="sequences a step")
    optimizer: Literal["adam", "adamw"] = Field("adam", description="optimizer")
    weight_decay: float = Field(0.0, ge=0.0, description="the optimizer's weight decay")
    schedule: Literal["constant", "one-cycle"] = Field(
        "one-cycle", description="how the learning rate moves over the steps"
    )
    patience: int | None = Field(
        None,
        ge=1,
        description="epochs without a better objective after which a trial is complete; null: none",
    )
    augment_shift: float = Field(
        0.0, ge=0.0, lt=1.0, description="how far training sequences move in time, of their length"
    )
    augment_warp: float = Field(
        0.0, ge=0.0, lt=1.0, description="how much faster or slower they go by, at the most"
    )
    augment_scale: float = Field(
        0.0, ge=0.0, description="deviation of the logarithm of what each feature is multiplied by"
    )
    augment_noise: float = Field(
        0.0, ge=0.0, description="deviation of what is added to standardised values"
    )
    class_weights: Literal["none", "balanced"] = Field(
        "none",
        description="balanced: errors on rare classes cost more, by how rare they are; "
        "classification only",
    )
    label_smoothing: float = Field(
        0.0,
        ge=0.0,
        lt=1.0,
        description="how much of each label is shared out among all classes while training "
        "(Szegedy et al. 2016): on digits more right answers, and less sure ones; the losses that "
        "are told are of the labels as they are; classification only",
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="auto: bfloat16 where the hardware has it and it is faster there"
    )
    clip_norm: float | None = Field(
        1.0, gt=0.0, description="largest total gradient norm; null for no clipping"
    )

    def is_stale(self, epoch: int, best_epoch: int) -> bool:
        """Whether no epoch was better for so long that training ends early."""
        return self.patience is not None and epoch - best_epoch >= self.patience

    @property
    def ways(self) -> int:
        """In how many directions each layer reads."""
        return 2 if self.bidirectional else 1

    @property
    def width(self) -> int:
        """How many values a layer gives out at each step."""
        return self.hidden_size * self.ways

    @property
    def gains_by_bfloat16(self) -> bool:
        """Whether this network is faster in bfloat16 where a processor multiplies it faster."""
        return self.cell == "lstm" and self.hidden_size >= WORTH_IT

    @property
    def gains_by_amx(self) -> bool:
        """Whether it is faster in bfloat16 where a processor multiplies it in AMX alone."""
        return self.cell == "gru" and self.hidden_size >= WORTH_IT_IN_AMX

    @property
    def gains_on_a_gpu(self) -> bool:
        """The same of a GPU."""
        return self.hidden_size >= WORTH_IT_ON_GPU
