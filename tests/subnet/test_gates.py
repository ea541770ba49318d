"""A gate replaced by its value at zero: exact against the network with the weights of the gate at zero."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import nasviz


class SqueezeExcite(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.squeeze = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 2, 1), nn.ReLU(), nn.Conv2d(2, 8, 1)
        )
        self.branch = nn.Conv2d(8, 8, 3, padding=1)
        self.mix = nn.Conv2d(16, 8, 1)
        self.norm = nn.BatchNorm2d(8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        x = torch.sigmoid(self.squeeze(x)) * self.norm(self.mix(torch.cat([x, self.branch(x)], 1)))
        return x.mean((2, 3))


@pytest.mark.parametrize("with_structure", [False, True])
def test_replacing_a_gate_is_exact_alone_and_together_with_structures(with_structure: bool) -> None:
    torch.manual_seed(0)
    net = nasviz.trace(SqueezeExcite(), torch.randn(2, 3, 8, 8))
    space = nasviz.search_space(net)
    (gate,) = space.gates
    erased = [s.id for s in space.removable][:1] if with_structure else []

    sub = nasviz.construct(net, space, erased, gates=[gate.id])

    assert sub.report.max_relative_error <= 1e-6
    assert sub.report.effect > 1e-3
    assert not any(name.startswith("squeeze") for name, _ in sub.module.named_parameters())


def test_dropping_a_gate_without_its_half_would_be_caught() -> None:
    torch.manual_seed(0)
    net = nasviz.trace(SqueezeExcite(), torch.randn(2, 3, 8, 8))
    space = nasviz.search_space(net)
    x = torch.randn(2, 3, 8, 8)
    sub = nasviz.construct(net, space, [], gates=[space.gates[0].id]).module.eval()
    for node in sub.graph.find_nodes(op="call_function", target=torch.ops.aten.mul.Tensor):
        node.replace_all_uses_with(node.args[0])
    sub.recompile()
    nasviz.project_to_zero_(net, space, [], gates=[space.gates[0].id])
    zeroed = net.eval()
    assert (sub(x) - zeroed(x)).abs().max() > 1e-2 * zeroed(x).abs().max()
