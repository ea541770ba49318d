"""Small supernets of cells: mixed operations as the documents write them, with identities and pools."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor, nn

import nasviz
from nasviz.graph import SearchSpace
from nasviz.trace import TracedNetwork
from tests.laws.cases import enliven_


class Operation(nn.Sequential):
    """ReLU, convolution, norm."""

    def __init__(self, width: int, kernel: int, stride: int, affine: bool) -> None:
        conv = nn.Conv2d(width, width, kernel, stride, kernel // 2, bias=False)
        super().__init__(nn.ReLU(), conv, nn.BatchNorm2d(width, affine=affine))


class Mixed(nn.ModuleList):
    """The sum of four candidates: pool, skip, two convolutions."""

    def __init__(self, width: int, stride: int, affine: bool) -> None:
        skip = nn.Identity() if stride == 1 else nn.AvgPool2d(1, 2)
        kernels = [Operation(width, kernel, stride, affine) for kernel in (1, 3)]
        super().__init__([nn.MaxPool2d(3, stride, 1), skip, *kernels])

    def forward(self, x: Tensor) -> Tensor:
        return sum(operation(x) for operation in self)


class Cell(nn.Module):
    """Two nodes over one input, concatenated and mixed."""

    def __init__(self, width: int, stride: int, affine: bool) -> None:
        super().__init__()
        self.ops = nn.ModuleList(Mixed(width, stride if i < 2 else 1, affine) for i in range(3))
        self.mix = nn.Conv2d(2 * width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        first = self.ops[0](x)
        second = self.ops[1](x) + self.ops[2](first)
        return self.mix(torch.cat([first, second], 1))


class Cells(nn.Module):
    """Two normal cells around one that halves the image."""

    def __init__(self, width: int = 4, affine: bool = True) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.cells = nn.ModuleList(Cell(width, stride, affine) for stride in (1, 2, 1))
        self.head = nn.Linear(width, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for cell in self.cells:
            x = cell(x)
        return self.head(x.mean((2, 3)))


def cells(*, affine: bool = True) -> Cells:
    torch.manual_seed(0)
    model = Cells(affine=affine)
    enliven_(model) if affine else None
    return model


@lru_cache
def traced(dtype: torch.dtype = torch.float32, affine: bool = True) -> tuple[TracedNetwork, SearchSpace]:
    """Shared by many tests: copy the network before you change it."""
    net = nasviz.trace(cells(affine=affine).to(dtype), IMAGES.to(dtype))
    return net, nasviz.search_space(net)


IMAGES = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(1))
EDGES = ("add", "sub")
"""Joints that are nodes; the concatenation at the end of a cell is none."""
