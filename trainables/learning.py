"""What a network learns of a batch: the gradients of its weights, wherever it is computed."""

import copy
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from trainables.augment import Augment
from trainables.batches import Placed, Rows
from trainables.config import Precision, TrialConfig
from trainables.device import DTYPES
from trainables.goals import Goal


class Lowered(nn.Module):
    """A network's copy that computes in bfloat16 on a GPU.

    There `torch.autocast` gives recurrent layers float16, whatever type it was asked for, whose
    range is too small for gradients.

    Args:
        network: whose weights it has after each `pull`.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        # PyTorch does not know that cuDNN has recurrent layers in bfloat16, and else would leave
        # their weights apart, to be put together at each call.
        torch.backends.cudnn.CUDNN_TENSOR_DTYPES.add(torch.bfloat16)
        self.network = copy.deepcopy(network).to(torch.bfloat16)

    def pull(self, weights: list[nn.Parameter]) -> None:
        """Take the network's weights of now."""
        with torch.no_grad():
            torch._foreach_copy_([*self.parameters()], [*weights])

    def push(self, weights: list[nn.Parameter]) -> None:
        """Give these weights the gradients of its own."""
        gradients = [torch.empty_like(weight) for weight in weights]
        torch._foreach_copy_(gradients, [cast("Tensor", one.grad) for one in self.parameters()])
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.grad = gradient

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return the network's outputs for what `trainables.cells.RecurrentNetwork` takes."""
        return cast("Tensor", self.network(x.to(torch.bfloat16), lengths))


class Captured(NamedTuple):
    """What a GPU does by itself.

    Attributes:
        graph: of the operations.
        at: [sequences], where they find the places of what they learn from.
        gradients: of each weight, where they leave them.
    """

    graph: torch.cuda.CUDAGraph
    at: Tensor
    gradients: list[Tensor | None]


class Learner:
    """Computes the gradients of a network's weights.

    Args:
        config: clip_norm and what changes sequences are read.
        model: the network.
        goal: what it learns.
        train: what it learns from, where it is.
        inputs: values a step of which `Augment` changes.
        precision: what products are computed in.

    Attributes:
        network: what answers: the model, or its copy in another type.
        autocast: the type that `torch.autocast` gives the network, float32 for none.
        sums: [3], of what was learned since they were last zeroed: losses, correct answers, and
            gradient norms before clipping. On the device, where a value that is not finite stays
            visible: to read each would wait for the device each time.
    """

    def __init__(  # noqa: PLR0913 - each is an independent part of the learning
        self,
        config: TrialConfig,
        model: nn.Module,
        goal: Goal,
        train: Placed,
        *,
        inputs: int,
        precision: Precision,
    ) -> None:
        self.goal = goal
        self.train = train
        self.augment = Augment(config, inputs)
        self.clip_norm = config.clip_norm
        self.device = train.y.device
        self.weights = list(model.parameters())
        self.sums = torch.zeros(3, dtype=torch.float64, device=self.device)
        lowered = precision == "bfloat16" and self.device.type == "cuda"
        self.network = Lowered(model) if lowered else model
        self.leaves = list(self.network.parameters())
        """What gradients are computed of: the weights, or those of their copy."""
        self.autocast = torch.float32 if lowered else DTYPES[precision]
        self.graphs: dict[tuple[int, int], Captured] = {}
        """By how many sequences they learn from, and how long these are."""

    def learn(self, rows: Rows) -> None:
        """Put the gradients of what a batch teaches at the weights, clipped; add to the sums."""
        if self.device.type != "cuda":
            self.compute(rows)
            return
        shape = (len(rows.at), rows.steps)
        if shape not in self.graphs:
            self.graphs[shape] = self.captured(rows)
        graph, place, gradients = self.graphs[shape]
        place.copy_(rows.at)
        graph.replay()
        for weight, gradient in zip(self.weights, gradients, strict=True):
            weight.grad = gradient

    def pull(self) -> None:
        """Let the network have the model's weights of now."""
        if isinstance(self.network, Lowered):
            self.network.pull(self.weights)

    def compute(self, rows: Rows) -> None:
        """Do what `learn` does, operation by operation."""
        batch = self.augment(self.train.rows(rows))
        self.pull()
        for weight in self.leaves:
            weight.grad = None
        dtype = self.autocast
        with torch.autocast(self.device.type, dtype, enabled=dtype != torch.float32):
            outputs = self.network(batch.x, batch.lengths).float()
        loss = self.goal.loss(outputs, batch.y)
        self.goal.learned(outputs, batch.y, loss).backward()  # type: ignore[no-untyped-call]
        if isinstance(self.network, Lowered):
            self.network.push(self.weights)
        norm = self.clip([p.grad for p in self.weights if p.grad is not None])
        counted = self.goal.counted(outputs, batch.y)
        self.sums += torch.stack((loss.detach() * len(batch.y), counted, norm))

    def clip(self, gradients: list[Tensor]) -> Tensor:
        """Return the total norm of gradients, which are scaled down to the limit that there is.

        As `torch.nn.utils` does, which first sorts them by device and type: here all are alike,
        and a step of a narrow network would take two percent longer.
        """
        norm: Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
        if self.clip_norm is not None:
            torch._foreach_mul_(gradients, (self.clip_norm / (norm + 1e-6)).clamp(max=1.0))
        return norm

    def captured(self, rows: Rows) -> Captured:
        """Return `compute` of a batch of this shape as a graph.

        A step of these networks is about a hundred operations, each over on a GPU before a
        processor has asked for the next. A graph asks for all of them at once; it computes the
        same, with the random numbers that come next.
        """
        rows, sums = Rows(rows.at.clone(), rows.steps), self.sums.clone()
        state = torch.cuda.get_rng_state(self.device)
        # Libraries make their plans at a first call, which a graph cannot hold.
        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            self.compute(rows)
        torch.cuda.current_stream().wait_stream(aside)
        self.sums.copy_(sums)
        torch.cuda.set_rng_state(state, self.device)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.compute(rows)
        return Captured(graph, rows.at, [weight.grad for weight in self.weights])
