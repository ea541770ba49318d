"""Operations of cell-based networks (Liu et al., DARTS, 2019; Dong and Yang, NAS-Bench-201, 2020).

Each maps C channels to C channels, with stride 1 or 2, and has its name from the paper. `OPERATIONS` builds
one from its name; a custom space is a choice of these names for each edge of a cell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = [
    "DARTS_OPERATIONS",
    "NAS_BENCH_201_OPERATIONS",
    "OPERATIONS",
    "FactorizedReduce",
    "Noise",
    "Norms",
    "Zero",
    "relu_conv_norm",
]

DARTS_OPERATIONS = (
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
"""The seven of DARTS; its eighth, `none`, adds nothing to a plain sum."""
NAS_BENCH_201_OPERATIONS = ("skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
"""The four of NAS-Bench-201 except `none`."""

PoolNorm = Literal["none", "fixed", "affine"]


@dataclass(frozen=True, slots=True)
class Norms:
    """Configuration of the batch norms of an operation."""

    affine: bool = True
    """Scale and shift: only then is a convolution with zero variables zero in evaluation mode."""
    tracked: bool = True
    """Whether running statistics are kept."""
    pools: PoolNorm = "none"
    """Norm after pooling: none, one without variables, or one with scale and shift, which makes pooling a
    removable structure."""

    def after_convolution(self, channels: int) -> nn.BatchNorm2d:
        """Return the norm after a convolution."""
        return nn.BatchNorm2d(channels, affine=self.affine, track_running_stats=self.tracked)

    def after_pool(self, pool: nn.Module, channels: int) -> nn.Module:
        """Return the pooling, followed by its norm if there is one."""
        if self.pools == "none":
            return pool
        norm = nn.BatchNorm2d(channels, affine=self.pools == "affine", track_running_stats=self.tracked)
        return nn.Sequential(pool, norm)


class Zero(nn.Module):
    """`none`: zeros in the shape of the output of an operation.

    Shapes:
        `(N, C, H, W)` to `(N, C, ceil(H / stride), ceil(W / stride))`.
    """

    def __init__(self, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Return zeros with zero gradient."""
        return x[:, :, :: self.stride, :: self.stride] * 0.0

    def extra_repr(self) -> str:
        """Return the stride."""
        return f"stride={self.stride}"


class Noise(nn.Module):
    """`noise` of the space S4: random numbers of mean 0 and variance 1 that ignore the input.

    They are signs, +1 or -1, made by dropout, so a traced network treats them as part of training, and
    evaluation uses their mean, zero. RobustDARTS draws them from a normal distribution, in evaluation too.


    Shapes:
        `(N, C, H, W)` to `(N, C, ceil(H / stride), ceil(W / stride))`.
    """

    def __init__(self, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Return signs with zero gradient."""
        ones = x[:, :, :: self.stride, :: self.stride] * 0.0 + 1.0
        signs: Tensor = self.dropout(ones) - 1.0
        return signs

    def extra_repr(self) -> str:
        """Return the stride."""
        return f"stride={self.stride}"


class FactorizedReduce(nn.Module):
    """Halve height and width by two 1x1 convolutions, the second one on the pixels skipped by the first.

    Shapes:
        `(N, in_channels, H, W)` to `(N, out_channels, ceil(H / 2), ceil(W / 2))`.
    """

    def __init__(self, in_channels: int, out_channels: int, norms: Norms | None = None) -> None:
        super().__init__()
        half = out_channels // 2
        self.relu = nn.ReLU()
        self.even = nn.Conv2d(in_channels, half, 1, stride=2, bias=False)
        self.odd = nn.Conv2d(in_channels, out_channels - half, 1, stride=2, bias=False)
        self.norm = (norms or Norms()).after_convolution(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return the two concatenated halves of the channels."""
        x = self.relu(x)
        shifted = x[:, :, 1:, 1:]
        height, width = x.shape[-2:]
        if height % 2 or width % 2:
            # The last pixel of an odd side has no neighbour: it is padded with zeros.
            shifted = functional.pad(shifted, (0, width % 2, 0, height % 2))
        y: Tensor = self.norm(torch.cat([self.even(x), self.odd(shifted)], dim=1))
        return y


def relu_conv_norm(
    in_channels: int, out_channels: int, kernel: int = 1, stride: int = 1, norms: Norms | None = None
) -> nn.Sequential:
    """Return ReLU, convolution without bias, and batch norm."""
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False),
        (norms or Norms()).after_convolution(out_channels),
    )


def _depthwise(channels: int, kernel: int, stride: int, dilation: int, norms: Norms) -> list[nn.Module]:
    """Return ReLU, depthwise convolution, 1x1 convolution, and norm."""
    padding = dilation * (kernel // 2)
    return [
        nn.ReLU(),
        nn.Conv2d(channels, channels, kernel, stride, padding, dilation, groups=channels, bias=False),
        nn.Conv2d(channels, channels, 1, bias=False),
        norms.after_convolution(channels),
    ]


def _separable(kernel: int) -> Operation:
    def make(channels: int, stride: int, norms: Norms) -> nn.Module:
        first = _depthwise(channels, kernel, stride, 1, norms)
        return nn.Sequential(*first, *_depthwise(channels, kernel, 1, 1, norms))

    return make


def _dilated(kernel: int) -> Operation:
    return lambda channels, stride, norms: nn.Sequential(*_depthwise(channels, kernel, stride, 2, norms))


def _convolution(kernel: int) -> Operation:
    return lambda channels, stride, norms: relu_conv_norm(channels, channels, kernel, stride, norms)


def _max_pool(channels: int, stride: int, norms: Norms) -> nn.Module:
    return norms.after_pool(nn.MaxPool2d(3, stride, 1), channels)


def _avg_pool(channels: int, stride: int, norms: Norms) -> nn.Module:
    return norms.after_pool(nn.AvgPool2d(3, stride, 1, count_include_pad=False), channels)


def _skip(channels: int, stride: int, norms: Norms) -> nn.Module:
    return nn.Identity() if stride == 1 else FactorizedReduce(channels, channels, norms)


Operation = Callable[[int, int, Norms], nn.Module]
"""Builds an operation from its channels, its stride and the configuration of its norms."""

OPERATIONS: Mapping[str, Operation] = {
    "none": lambda channels, stride, norms: Zero(stride),
    "noise": lambda channels, stride, norms: Noise(stride),
    "max_pool_3x3": _max_pool,
    "avg_pool_3x3": _avg_pool,
    "skip_connect": _skip,
    "sep_conv_3x3": _separable(3),
    "sep_conv_5x5": _separable(5),
    "sep_conv_7x7": _separable(7),
    "dil_conv_3x3": _dilated(3),
    "dil_conv_5x5": _dilated(5),
    "nor_conv_1x1": _convolution(1),
    "nor_conv_3x3": _convolution(3),
}
"""Builders of operations by name."""
