"""Scores with passes of their own, against what their formulas give by hand."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from nasviz.errors import DataError, NonFiniteLossError
from nasviz.saliency import score
from nasviz.saliency.zico import steadiness


@dataclass
class Structure:
    id: int
    parameter_names: tuple[str, ...]


@dataclass
class Space:
    removable: list[Structure]


class Quadratic(nn.Module):
    """f = x^T A x / 2 + b^T x over two structures and one further parameter."""

    def __init__(self, *, is_coupled: bool) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        root = torch.randn(5, 5, generator=generator, dtype=torch.float64)
        self.curvature = root @ root.T
        if not is_coupled:
            self.curvature = torch.block_diag(*(self.curvature[i, i] for i in self.parts()))
        self.slope = torch.randn(5, generator=generator, dtype=torch.float64)
        x = torch.randn(5, generator=generator, dtype=torch.float64)
        self.one, self.two, self.rest = (nn.Parameter(x[part].clone()) for part in self.parts())

    @staticmethod
    def parts() -> tuple[slice, ...]:
        return slice(0, 2), slice(2, 4), slice(4, 5)

    def values(self):
        return torch.cat([self.one, self.two, self.rest])

    def forward(self, x):
        values = self.values()
        return values @ self.curvature @ values / 2 + self.slope @ values


PAIR = Space([Structure(1, ("one",)), Structure(2, ("two",))])
BATCH = [(torch.zeros(1), torch.zeros(1))]


def output(value, target):
    return value


def test_second_order_taylor_is_exact_for_a_quadratic_loss_without_coupling():
    net = Quadratic(is_coupled=False)
    found = score("taylor2", net, PAIR, BATCH, loss=output)
    for structure in PAIR.removable:
        without = copy.deepcopy(net)
        getattr(without, structure.parameter_names[0]).data.zero_()
        change = (without(None) - net(None)).abs().item()
        assert found[structure.id] == pytest.approx(change, rel=1e-9)
        assert score("taylor", net, PAIR, BATCH, loss=output)[structure.id] != pytest.approx(change)


def test_second_order_taylor_shares_what_couples_two_structures():
    net = Quadratic(is_coupled=True)
    x = net.values().detach()
    own = torch.cat([x[:4], torch.zeros(1, dtype=x.dtype)])
    slope, bend = net.curvature @ x + net.slope, net.curvature @ own
    expected = {
        i: (bend[part] @ x[part] / 2 - slope[part] @ x[part]).abs().item()
        for i, part in zip((1, 2), net.parts(), strict=False)
    }
    assert score("taylor2", net, PAIR, BATCH, loss=output) == pytest.approx(expected, rel=1e-9)


def test_grasp_sees_the_gradient_of_the_whole_network():
    net = Quadratic(is_coupled=True)
    x = net.values().detach()
    product = net.curvature @ (net.curvature @ x + net.slope)
    expected = {i: (x[part] @ product[part]).item() for i, part in zip((1, 2), net.parts(), strict=False)}
    assert score("grasp", net, PAIR, BATCH, loss=output) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("name", "expected"), [("taylor2", 14.0), ("grasp", 0.0)])
def test_a_loss_without_curvature_has_no_second_order(name, expected):
    net = nn.Linear(2, 1, bias=False)
    net.weight.data = torch.tensor([[2.0, 4.0]])
    space = Space([Structure(1, ("weight",))])
    found = score(name, net, space, [(torch.tensor([[1.0, 3.0]]), None)], loss=lambda y, _: y.sum())
    assert found[1] == pytest.approx(expected)


def test_synflow_of_a_scalar_chain_scores_the_flow_at_each_weight():
    net = nn.Sequential(nn.Linear(1, 1, bias=False), nn.ReLU(), nn.Linear(1, 1, bias=False))
    net[0].weight.data.fill_(2.0)
    net[2].weight.data.fill_(-3.0)
    space = Space([Structure(1, ("0.weight",)), Structure(2, ("2.weight",))])
    assert score("synflow", net, space, [(torch.zeros(4, 1), None)]) == {1: 6.0, 2: 6.0}


class Parallel(nn.Module):
    """Two branches of unlike size between a stem and a head; no biases, no norms."""

    def __init__(self):
        super().__init__()
        self.stem, self.head = nn.Linear(3, 4, bias=False), nn.Linear(5, 2, bias=False)
        self.a = nn.Linear(4, 5, bias=False)
        self.b1, self.b2 = nn.Linear(4, 6, bias=False), nn.Linear(6, 5, bias=False)

    def forward(self, x):
        x = self.stem(x).relu()
        return self.head((self.a(x) + self.b2(self.b1(x).relu())).relu())


def test_synflow_is_conserved_along_the_network():
    torch.manual_seed(0)
    net = Parallel()
    names = ("stem.weight", "a.weight", "b1.weight", "b2.weight", "head.weight")
    space = Space([Structure(i, (name,)) for i, name in enumerate(names)])
    found = score("synflow", net, space, [(torch.zeros(1, 3), None)])
    positive = copy.deepcopy(net)
    for parameter in positive.parameters():
        parameter.data.abs_()
    flow = positive(torch.ones(1, 3)).sum().item()
    for cut in ((0,), (1, 2), (1, 3), (4,)):
        assert sum(found[i] for i in cut) == pytest.approx(flow, rel=1e-6)


def test_synflow_says_when_the_flow_is_no_number():
    net = nn.Linear(1, 1)
    net.weight.data.fill_(float("inf"))
    with pytest.raises(NonFiniteLossError, match="flow of synflow"):
        score("synflow", net, Space([Structure(1, ("weight",))]), [(torch.zeros(1, 1), None)])


GRADIENTS = torch.tensor([[0.2, -0.4, 0.1], [0.4, -0.2, 0.1]])


@pytest.mark.parametrize(
    "batches",
    [
        [(GRADIENTS[:1], torch.zeros(1)), (GRADIENTS[1:], torch.zeros(1))],
        [(GRADIENTS, torch.zeros(2))],  # two halves
        [((GRADIENTS,), torch.zeros(2))],
    ],
)
def test_zico_of_the_worked_example(batches):
    net = nn.Linear(3, 1)  # its gradient is the input
    space = Space([Structure(1, ("weight", "bias")), Structure(2, ())])
    found = score("zico", net, space, batches, loss=lambda y, _: y.sum())
    assert found == pytest.approx({1: 1.791759, 2: 0.0}, abs=1e-6)


def test_zico_is_the_mean_over_the_layers_of_a_structure():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, generator=generator)
    net = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    space = Space([Structure(1, ("0.weight", "1.weight"))])
    samples: dict[str, list[torch.Tensor]] = {"0": [], "1": []}
    for row in x:
        net.zero_grad()
        net(row).sum().backward()
        for name, layer in net.named_children():
            samples[name].append(layer.weight.grad.clone())
    logs = [steadiness(torch.stack(found)).log().item() for found in samples.values()]
    found = score("zico", net, space, [(x, torch.zeros(2))], loss=lambda y, _: y.sum())
    assert found[1] == pytest.approx(sum(logs) / 2, rel=1e-5)


def test_zico_needs_two_examples():
    space = Space([Structure(1, ("weight",))])
    with pytest.raises(DataError, match="two batches"):
        score("zico", nn.Linear(3, 1), space, [(torch.zeros(1, 3), torch.zeros(1))])
