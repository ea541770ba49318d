"""A custom operator with its nasviz rule: a gated swish with one gain for each channel.

The operator is written for `torch.library` as in PyTorch's documentation; `nasviz.register_operator` above it
is all that nasviz needs. See `custom_operator.py` for a network that is traced, cut and exported with it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

import nasviz

__all__ = ["ChannelGate", "channel_gate"]


def _composed(x: Tensor, gain: Tensor) -> Tensor:
    """Compute the same of torch's own operators: ONNX files hold these."""
    return x * torch.sigmoid(x) * gain.view(-1, *[1] * (x.dim() - 2))


@nasviz.register_operator(
    zero="x * gain",  # zero wherever one of the two is zero
    axes="n c ..., c -> n c ...",  # axis 1 of x and all of gain are the channels of the result
    decomposition=_composed,
)
@torch.library.custom_op("extending::channel_gate", mutates_args=())
def channel_gate(x: Tensor, gain: Tensor) -> Tensor:
    """Return `x * sigmoid(x) * gain`; stands for a kernel of your own."""
    return _composed(x, gain)


@channel_gate.register_fake
def _(x: Tensor, gain: Tensor) -> Tensor:
    return torch.empty_like(x)


def _backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
    x, gain = ctx.saved_tensors
    sigmoid, scale = torch.sigmoid(x), gain.view(-1, *[1] * (x.dim() - 2))
    others = [axis for axis in range(x.dim()) if axis != 1]
    return (
        gradient * scale * sigmoid * (1 + x * (1 - sigmoid)),
        (gradient * x * sigmoid).sum(others),
    )


def _keep(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


channel_gate.register_autograd(_backward, setup_context=_keep)


class ChannelGate(nn.Module):
    """The operator with its gains as a parameter."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Apply the operator."""
        return channel_gate(x, self.gain)
