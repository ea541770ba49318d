"""Tiny networks to search: cells, residual branches, concatenations, U-nets, and an MLP."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor, nn

import nasviz
from nasviz.graph import SearchSpace
from nasviz.models.cells import CellConfig, SearchCell
from nasviz.models.nas_bench_201 import NasBench201
from nasviz.trace import TracedNetwork


class Residual(nn.Module):
    """An outsider: residual MLP blocks behind a flattened image."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Linear(64, 12), nn.Linear(12, 10)
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(12, 12), nn.Tanh()) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x.flatten(1))
        for block in self.blocks:
            x = x + block(x)
        return self.head(x)


class Inception(nn.Module):
    """Another outsider: branches that are concatenated, under a norm, with a pool among them."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.one, self.three = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 3, padding=1)
        self.pool = nn.MaxPool2d(3, 1, 1)
        self.norm, self.head = nn.BatchNorm2d(12), nn.Linear(12, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.stem(x))
        x = torch.cat([self.one(x), self.three(x), self.pool(x)], 1)
        return self.head(torch.relu(self.norm(x)).mean((2, 3)))


class TwoCells(nn.Module):
    """Two cells of DARTS with two nodes each."""

    def __init__(self) -> None:
        super().__init__()
        names = ("max_pool_3x3", "skip_connect", "sep_conv_3x3")
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.cells = nn.ModuleList(
            [SearchCell(CellConfig(4, 4, 4), names, 2), SearchCell(CellConfig(4, 8, 4), names, 2)]
        )
        self.head = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        before = last = self.stem(x)
        for cell in self.cells:
            before, last = last, cell(before, last)
        return self.head(last.mean((2, 3)))


class Fork(nn.Module):
    """Two paths that meet in sums, so that the operands of a sum come from different places."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.left, self.right = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 1)
        self.deep, self.skip = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 1)
        self.head = nn.Linear(4, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        left, right = torch.relu(self.left(x)), torch.relu(self.right(x))
        x = self.deep(left) + self.skip(right)
        return self.head(torch.relu(x + left).mean((2, 3)))


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "demonet": lambda: nasviz.zoo.create("demonet", width=0.1)[0],
    "nas_bench_201": lambda: NasBench201(in_channels=1, channels=2, cells=1),
    "two cells": TwoCells,
    "residual": Residual,
    "inception": Inception,
    "fork": Fork,
}


@cache
def traced(name: str) -> tuple[TracedNetwork, SearchSpace]:
    """Shared by many tests: copy the network before you change it."""
    torch.manual_seed(0)
    net = nasviz.trace(NETWORKS[name](), torch.randn(2, 1, 8, 8))
    return net, nasviz.search_space(net)
