"""Trace, cut and export a network that calls an operator of its own.

    python examples/extending/custom_operator.py [FOLDER]

Channels in front of the operator are cut together with its gains, a branch that ends in it can be removed,
and the sub-network is saved as data, as Python source and as ONNX.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import torch
from channel_gate import ChannelGate
from torch import Tensor, nn

import nasviz
from nasviz.subnet import Subnetwork


class Block(nn.Module):
    """A residual block whose branch ends in the operator."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.wide = nn.Conv2d(channels, width, 3, padding=1)
        self.gate = ChannelGate(width)
        self.narrow = nn.Conv2d(width, channels, 1)
        self.last = ChannelGate(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Add the branch to its input."""
        return x + self.last(self.narrow(self.gate(self.wide(x))))


def network() -> nn.Module:
    """Return two blocks between two convolutions."""
    return nn.Sequential(nn.Conv2d(3, 6, 3), Block(6, 8), Block(6, 10), nn.Conv2d(6, 4, 1))


def run(folder: Path) -> Subnetwork:
    """Remove one block and half of the inner channels of the other; write the sub-network to `folder`."""
    torch.manual_seed(0)
    net = nasviz.trace(network(), torch.randn(2, 3, 12, 12))
    space = nasviz.search_space(net)
    erased = space.select({s.id: float(s.id) for s in space.removable}, 1)
    inner = next(s for s in space.channels.slimmable if s.width == 10)
    channels = tuple(inner.groups)[::2]

    nasviz.project_to_zero_(net, space, erased, channels=channels)
    sub = nasviz.construct(net, space, erased, channels=channels)
    nasviz.save(sub, folder)
    nasviz.export_onnx(sub, folder / "network.onnx")
    return sub


if __name__ == "__main__":
    place = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
    report = run(place).report
    print(f"{report.params_before:,} -> {report.params_after:,} parameters,", end=" ")
    print(f"error {report.max_relative_error:.1e}, effect {report.effect:.1e}; written to {place}")
