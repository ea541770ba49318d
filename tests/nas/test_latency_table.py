from __future__ import annotations

import pytest
import torch
from torch import nn

import nasviz
from nasviz.errors import InvalidSettingError
from nasviz.nas.latency_table import measure_operations


class Block(nn.Module):
    """A heavy and a light convolution, the light one twice, and the identity."""

    def __init__(self) -> None:
        super().__init__()
        self.heavy = nn.Conv2d(32, 32, 7, padding=3)
        self.light, self.same = nn.Conv2d(32, 32, 1), nn.Conv2d(32, 32, 1)
        self.norm = nn.BatchNorm2d(32)

    def forward(self, x):
        return self.heavy(x) + self.light(x) + self.same(x) + self.norm(x) + x


def test_heavier_operations_take_longer_and_equal_ones_are_measured_once() -> None:
    x = torch.randn(4, 32, 16, 16)
    net = nasviz.trace(Block(), x)
    net.train()
    mean = net.norm.running_mean.clone()
    names = [v.id for v in net.trace_graph]
    found = measure_operations(net, (x,), [["heavy"], ["light"], ["same"], ["light", "same"], []], repeats=5)
    heavy, light, same, both, nothing = found.tolist()
    assert {"heavy", "light", "same"} <= set(names)
    assert heavy > 2 * light > 0
    assert light == same
    assert both == 2 * light
    assert nothing == 0
    assert net.training
    assert net.norm.training
    assert torch.equal(mean, net.norm.running_mean)


def test_nothing_to_time_is_refused() -> None:
    x = torch.randn(2, 32, 8, 8)
    with pytest.raises(InvalidSettingError, match="repeats=0"):
        measure_operations(nasviz.trace(Block(), x), (x,), [], repeats=0)
