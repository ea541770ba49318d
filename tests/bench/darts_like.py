"""A network of the size of a large derived DARTS network: cells that read two cells before them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

WIDTH = 4
EDGES = (
    ("separable", 0),
    ("separable", 1),
    ("separable", 0),
    ("dilated", 2),
    ("separable", 1),
    ("pool", 3),
    ("dilated", 2),
    ("skip", 0),
)
"""Operation of a cell's eight edges, and which of the states before it reads; two edges make a state."""


def separable(kernel: int = 3, dilation: int = 1) -> list[nn.Module]:
    padding = dilation * (kernel // 2)
    return [
        nn.ReLU(),
        nn.Conv2d(WIDTH, WIDTH, kernel, 1, padding, dilation, groups=WIDTH, bias=False),
        nn.Conv2d(WIDTH, WIDTH, 1, bias=False),
        nn.BatchNorm2d(WIDTH),
    ]


def operation(kind: str) -> nn.Module:
    if kind == "separable":
        return nn.Sequential(*separable(), *separable())
    if kind == "dilated":
        return nn.Sequential(*separable(dilation=2))
    if kind == "pool":
        return nn.Sequential(nn.MaxPool2d(3, 1, 1), nn.BatchNorm2d(WIDTH))
    return nn.Identity()


class Cell(nn.Module):
    """Four states, each the sum of two operations on states before it; all four side by side."""

    def __init__(self, before: int, last: int) -> None:
        super().__init__()
        self.preprocess = nn.ModuleList(
            nn.Sequential(nn.ReLU(), nn.Conv2d(width, WIDTH, 1, bias=False), nn.BatchNorm2d(WIDTH))
            for width in (before, last)
        )
        self.edges = nn.ModuleList(operation(kind) for kind, _ in EDGES)

    def forward(self, before: Tensor, last: Tensor) -> Tensor:
        states = [self.preprocess[0](before), self.preprocess[1](last)]
        for first in range(0, len(EDGES), 2):
            one, two = (self.edges[i](states[EDGES[i][1]]) for i in (first, first + 1))
            states.append(one + two)
        return torch.cat(states[2:], 1)


class DartsLike(nn.Module):
    """A stem, cells, and a head; 82 cells make some 5,000 operators."""

    def __init__(self, cells: int = 82) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, WIDTH, 3, padding=1)
        widths = [WIDTH, WIDTH] + [4 * WIDTH] * cells
        self.cells = nn.ModuleList(Cell(widths[i], widths[i + 1]) for i in range(cells))
        self.head = nn.Linear(4 * WIDTH, 10)

    def forward(self, x: Tensor) -> Tensor:
        before = last = self.stem(x)
        for cell in self.cells:
            before, last = last, cell(before, last)
        return self.head(last.mean((2, 3)))
