"""Every method on every network: its derived network is exact, and a saved search goes on bit by bit."""

from __future__ import annotations

import copy
import io
from functools import cache

import pytest
import torch
from torch import nn

import nasviz
from nasviz.graph import SearchSpace, by_node
from nasviz.nas import Architecture, construct_derived, create, derived_network, with_architecture
from nasviz.switches import switch_values
from nasviz.trace import TracedNetwork
from tests.nas.networks import NETWORKS, traced

METHODS = {
    "darts": {},
    "darts second": {"order": "second"},
    "milenas": {"validation_weight": 0.5},
    "rarts": {"coupling": 0.5, "latency_weight": 0.01},
}
on_every_network = pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n == "nas_bench_201" else n for n in NETWORKS]
)


@cache
def searched(name: str) -> tuple[TracedNetwork, SearchSpace]:
    net, space = traced(name)
    return with_architecture(copy.deepcopy(net), space, generator=torch.Generator().manual_seed(0))


def batches(step: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(step)
    return [
        (torch.randn(8, 1, 8, 8, generator=generator), torch.randint(10, (8,), generator=generator))
        for _ in range(2)
    ]


def losses(net: nn.Module, step: int):
    return [lambda x=x, y=y: nn.functional.cross_entropy(net(x), y) for x, y in batches(step)]


def train(net: nn.Module, optimizer, first: int, last: int) -> list[float]:
    net.train()
    return [optimizer.step(*losses(net, step)).item() for step in range(first, last)]


def start(name: str, method: str):
    net, space = searched(name)
    net = copy.deepcopy(net)
    settings = METHODS[method] | {"lr": 0.05, "momentum": 0.9, "architecture_lr": 0.05}
    optimizer = create(method.split()[0], net, space, inputs=(batches(0)[0][0],), **settings)
    return net, space, optimizer


@on_every_network
@pytest.mark.parametrize("method", METHODS)
def test_a_search_ends_in_an_exact_network_and_goes_on_bit_by_bit(name: str, method: str) -> None:
    net, space, optimizer = start(name, method)
    train(net, optimizer, 0, 2)
    network, file = copy.deepcopy(net.state_dict()), io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    expected = train(net, optimizer, 2, 4)

    other, _, again = start(name, method)
    other.load_state_dict(network)
    file.seek(0)
    again.load_state_dict(torch.load(file, weights_only=True))
    assert train(other, again, 2, 4) == expected
    assert all(
        torch.equal(a, b) for a, b in zip(net.state_dict().values(), other.state_dict().values(), strict=True)
    )

    derived = derived_network(net, space)
    sub = construct_derived(derived)
    x = batches(9)[0][0]
    zeroed = copy.deepcopy(derived.network)
    nasviz.project_to_zero_(zeroed, derived.space, derived.erased)
    for mode in (False, True):
        torch.testing.assert_close(sub.module.train(mode)(x), zeroed.train(mode)(x), rtol=1e-4, atol=1e-5)
    assert derived.erased
    assert (
        sub.report.params_after == sum(p.numel() for p in sub.module.parameters()) < sub.report.params_before
    )


@on_every_network
def test_each_softmax_leaves_one_operation_and_each_node_two_edges_at_most(name: str) -> None:
    net, space = searched(name)
    derived = derived_network(net, space)
    for members in by_node(derived.derivation.kept).values():
        assert 1 <= len(members) <= 2
        assert len({switch.parameter for switch in members}) == len(members)
    assert not derived.derivation.spared
    assert space.structures[0].vertices == derived.space.structures[0].vertices
    assert {s.id for s in space.structures} == {s.id for s in derived.space.structures}


@on_every_network
def test_the_weights_are_those_of_the_switches(name: str) -> None:
    net, space = searched(name)
    reading = Architecture(net, space)
    torch.testing.assert_close(reading.weights(), switch_values(net, space.switches))
    assert reading.by_structure().shape == (len(reading.structure_ids),)
    for members in by_node(space.switches).values():
        groups = {switch.parameter for switch in members}
        total = sum(reading.weights()[space.switches.index(switch)] for switch in members)
        assert total.item() == pytest.approx(len(groups), rel=1e-5)


def test_cells_share_parameters_and_their_surroundings_are_not_searched() -> None:
    _, space = searched("nas_bench_201")
    net, _ = searched("nas_bench_201")
    assert [p.numel() for p in Architecture(net, space).parameters] == [4] * 6
    assert len(space.switches) == 3 * 24
    assert not any("shortcut" in switch.name for switch in space.switches)
    net, space = searched("two cells")
    assert [p.numel() for p in Architecture(net, space).parameters] == [3] * 5


def test_what_is_derived_follows_the_parameters() -> None:
    net, space = searched("inception")
    net = copy.deepcopy(net)
    (alpha,) = Architecture(net, space).parameters
    names = [switch.name for switch in sorted(space.switches, key=lambda s: s.index or 0)]
    for index, name in enumerate(names):
        with torch.no_grad():
            alpha.copy_(torch.eye(3)[index])
        assert [switch.name for switch in derived_network(net, space).derivation.kept] == [name]
