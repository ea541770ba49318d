"""One small network with all that can be chosen: a module to collapse, a gate, pooling and identity edges.

Also read as a file of a user's own: `source(folder)` puts it into a folder to trust.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import torch
from torch import Tensor, nn

from nasviz.catalog import NetworkSource

__all__ = ["Mixed", "source"]


class FactorizedReduce(nn.Module):
    """Two convolutions side by side, concatenated and normed: three structures, or one operation."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.left = nn.Conv2d(width, width // 2, 1, stride=2, bias=False)
        self.right = nn.Conv2d(width, width // 2, 1, stride=2, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(torch.cat([self.left(x), self.right(x)], dim=1))


class Gate(nn.Module):
    """Squeeze and excite."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(width, width // 2, 1)
        self.excite = nn.Conv2d(width // 2, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.excite(torch.relu(self.squeeze(x.mean((2, 3), keepdim=True)))))


class Mixed(nn.Module):
    """Three operations that are summed, a residual branch with a gate, a classifier."""

    def __init__(self, channels: int = 1, width: int = 8, num_classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, width, 3, padding=1)
        self.reduce = FactorizedReduce(width)
        self.plain = nn.Conv2d(width, width, 3, stride=2, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.branch = nn.Conv2d(width, width, 3, padding=1)
        self.gate = Gate(width)
        self.mix = nn.Conv2d(width, width, 3, padding=1)
        self.head = nn.Linear(width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.stem(x))
        x = self.reduce(x) + self.plain(x) + self.pool(x)
        branch = self.branch(x)
        x = x + self.mix(branch * self.gate(branch))
        return self.head(x.mean((2, 3)))


def source(folder: Path) -> NetworkSource:
    """The same as a user's own Python; a process imports a module of one name from one folder only."""
    folder.mkdir(exist_ok=True)
    name = f"mixed_{hashlib.sha256(str(folder).encode()).hexdigest()[:12]}"
    shutil.copy(__file__, folder / f"{name}.py")
    return NetworkSource(f"{name}:Mixed", input_shape=(1, 8, 8), trust=(str(folder),))
