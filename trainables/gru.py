"""GRU layers whose training takes a processor less time than PyTorch's own."""

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable

from trainables.products import is_faster, linear, over_rows


class GRU(nn.GRU):
    """PyTorch's GRU: the same weights and, but for rounding, the same answers and gradients.

    On a processor PyTorch goes through a sequence step by step, and back through every operation
    of every step. Here the gradients of the weights and of the inputs are one product for all
    steps; what goes back through the outputs is ten operations a step, which write where memory is
    there already. Under `torch.autocast` all of it is in bfloat16, as PyTorch's is. On a GPU, with
    a state to begin in, and where nothing is learned, this is PyTorch's.
    `docs/decisions/0013-gru.md` says why.

    Args:
        features: values a step.
        hidden_size: units of each direction.
        num_layers: one on the other.
        bidirectional: whether each layer goes both ways.
        batch_first: must be true.
    """

    def __init__(
        self,
        features: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        bidirectional: bool = False,
        batch_first: Literal[True],
    ) -> None:
        super().__init__(
            features,
            hidden_size,
            num_layers,
            bidirectional=bidirectional,
            batch_first=batch_first,
        )

    # PyTorch takes packed sequences, too.
    def forward(  # type: ignore[override]
        self, x: Tensor, state: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the outputs [batch, steps, width], and those at the end of each layer and way.

        Args:
            x: [batch, steps, features].
            state: [layers · ways, batch, units], where they begin; zeros if it is None.
        """
        learns = self.training and torch.is_grad_enabled() and state is None
        if not learns or not x.is_cpu:
            return super().forward(x, state)
        lowered = torch.is_autocast_enabled("cpu")
        dtype = torch.get_autocast_dtype("cpu") if lowered else x.dtype
        steps, ends = x.transpose(0, 1).to(dtype), []
        ways = 2 if self.bidirectional else 1
        for layer in range(self.num_layers):
            outputs = []
            for way in range(ways):
                read = steps.flip(0) if way else steps
                weights = (weight.to(dtype) for weight in self.all_weights[ways * layer + way])
                given: Tensor = Steps.apply(read.contiguous(), *weights)
                ends.append(given[-1])
                outputs.append(given.flip(0) if way else given)
            steps = torch.cat(outputs, 2) if self.bidirectional else outputs[0]
        return steps.transpose(0, 1), torch.stack(ends)


class Steps(torch.autograd.Function):
    """One layer in one direction over all steps of sequences; steps come first here.

    The equations are those of `torch.nn.GRU`: with r and z the sigmoids and n the hyperbolic
    tangent of what the input and the last output h give, the next output is n + z (h - n).
    """

    @staticmethod
    def forward(  # noqa: PLR0913 - what a layer has
        ctx: FunctionCtx, x: Tensor, w_x: Tensor, w_h: Tensor, b_x: Tensor, b_h: Tensor
    ) -> Tensor:
        """Return the outputs [steps, batch, units].

        Args:
            ctx: remembers what `backward` needs.
            x: [steps, batch, features].
            w_x: [3 units, features], for r, z and n.
            w_h: [3 units, units], likewise.
            b_x: [3 units].
            b_h: [3 units].
        """
        steps, batch, _ = x.shape
        units = w_h.shape[1]
        two = 2 * units
        # r and z take the sum of both products, n has them apart.
        bias = torch.cat((b_x[:two] + b_h[:two], b_x[two:]))
        gates = linear(x.flatten(0, 1), w_x, bias).view(steps, batch, 3 * units)
        recurrent = x.new_empty(steps, batch, units)
        outputs = x.new_empty(steps + 1, batch, units)
        outputs[0] = 0
        at_once = is_faster(outputs[0], w_h)
        if at_once:
            b_n = torch.cat((torch.zeros_like(b_h[:two]), b_h[two:]))
        else:
            w_rz, w_n = w_h[:two].t().contiguous(), w_h[two:].t().contiguous()
        rs, zs, ns = (part.unbind() for part in gates.chunk(3, 2))
        both, hs = gates[:, :, :two].unbind(), outputs.unbind()
        for rz, r, z, n, u, h, following in zip(
            both, rs, zs, ns, recurrent.unbind(), hs[:-1], hs[1:], strict=True
        ):
            if at_once:
                product = linear(h, w_h, b_n)
                rz.add_(product[:, :two])
                u.copy_(product[:, two:])
            else:
                rz.addmm_(h, w_rz)
                torch.addmm(b_h[two:], h, w_n, out=u)
            rz.sigmoid_()
            n.addcmul_(r, u).tanh_()
            torch.lerp(n, h, z, out=following)
        ctx.save_for_backward(x, w_x, w_h, gates, recurrent, outputs)
        return outputs[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, given: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of what `forward` takes, for that of its outputs."""
        x, w_x, w_h, gates, recurrent, outputs = ctx.saved_tensors
        steps, batch, _ = x.shape
        units = w_h.shape[1]
        two = 2 * units
        aten = torch.ops.aten
        # Of what n takes from the last output; of what it takes in all, which is its input's.
        of_h, of_n = torch.empty_like(gates), torch.empty_like(recurrent)
        rs, zs, ns = (part.unbind() for part in gates.chunk(3, 2))
        both, hs, us = gates[:, :, :two].unbind(), outputs.unbind(), recurrent.unbind()
        to_rz, to_u = of_h[:, :, :two].unbind(), of_h[:, :, two:].unbind()
        to_h, to_n, givens = of_h.unbind(), of_n.unbind(), given.unbind()
        kept, new, change, back = x.new_empty(4, batch, units).unbind()
        of_rz = x.new_empty(batch, two)
        of_r, of_z = of_rz.chunk(2, 1)
        w_back, at_once = w_h.t(), is_faster(to_h[0], w_h)
        of_output = givens[-1]
        for t in range(steps - 1, -1, -1):
            torch.mul(of_output, zs[t], out=kept)
            torch.sub(of_output, kept, out=new)
            aten.tanh_backward.grad_input(new, ns[t], grad_input=to_n[t])
            torch.sub(hs[t], ns[t], out=change)
            torch.mul(of_output, change, out=of_z)
            torch.mul(to_n[t], us[t], out=of_r)
            aten.sigmoid_backward.grad_input(of_rz, both[t], grad_input=to_rz[t])
            torch.mul(to_n[t], rs[t], out=to_u[t])
            if t:
                if at_once:
                    back = linear(to_h[t], w_back).add_(kept)
                else:
                    torch.addmm(kept, to_h[t], w_h, out=back)
                of_output = back.add_(givens[t - 1])
        flat = of_h.view(-1, 3 * units)
        of_w_h, of_b_h = over_rows(flat, outputs[:-1].flatten(0, 1)), flat.sum(0)
        of_h[:, :, two:] = of_n
        of_x = linear(flat, w_x.t()).view_as(x) if ctx.needs_input_grad[0] else None
        return of_x, over_rows(flat, x.flatten(0, 1)), of_w_h, flat.sum(0), of_b_h
