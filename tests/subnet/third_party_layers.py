"""Layers as another package brings them: no rule of nasviz knows their attributes."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class DropPath(nn.Module):
    """Drops a branch at random, for each sample."""

    def __init__(self, rate: float, mode: str = "row") -> None:
        super().__init__()
        self.rate, self.mode = rate, mode

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        shape = (x.shape[0], *[1] * (x.dim() - 1))
        return x * torch.empty(shape, device=x.device).bernoulli_(1 - self.rate) / (1 - self.rate)


class Residual(nn.Module):
    """Two branches with a path that is dropped at random."""

    def __init__(self, dropped: nn.Module) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.one = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4))
        self.two = nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4))
        self.dropped = dropped
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        return self.head((x + self.dropped(self.one(x)) + self.two(x)).mean((2, 3)))
