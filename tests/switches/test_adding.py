"""Switches stand where the documents write them, on any network, and change nothing at 1."""

from __future__ import annotations

import copy
from dataclasses import asdict

import pytest
import torch
from torch import nn
from torch.utils import _pytree as pytree

import nasviz
from nasviz.errors import GraphError, InvalidSettingError, UnknownVertexError
from nasviz.graph import SearchSpace, by_edge, by_node
from nasviz.switches import split_parameters, switch_values
from nasviz.trace import TracedNetwork
from tests.laws.cases import build
from tests.laws.small_networks import NETWORKS
from tests.switches.networks import EDGES, IMAGES, traced

SMALL = ("grouped convolutions", "shared modules", "cross attention", "nested inputs and outputs")


@pytest.fixture(scope="module")
def given() -> tuple[TracedNetwork, SearchSpace]:
    return traced()


def vertices(net: TracedNetwork) -> list[dict[str, object]]:
    return [asdict(vertex) | {"source": ""} for vertex in net.trace_graph]


def test_every_candidate_of_a_cell_gets_one(given: tuple[TracedNetwork, SearchSpace]) -> None:
    net, space = nasviz.add_switches(*given, joints=EDGES)
    assert len(space.switches) == 3 * 3 * 4
    assert [len(members) for members in by_node(space.switches).values()] == [4, 8] * 3
    assert [len(members) for members in by_edge(space.switches).values()] == [4] * 9
    assert [s.name for s in space.switches[:4]] == [
        "cells.0.ops.0.0-add",
        "identity stem → cells.0.ops.0.add_3",
        "cells.0.ops.0.2.0-2.1-2.2",
        "cells.0.ops.0.3.0-3.1-3.2",
    ]
    assert set(split_parameters(net)[1]) == {s.parameter for s in space.switches}
    assert switch_values(net, space.switches).tolist() == [1.0] * 36


def test_identity_and_pooling_edges_become_structures(given: tuple[TracedNetwork, SearchSpace]) -> None:
    before = given[1]
    _, space = nasviz.add_switches(*given, where="switchable", joints=EDGES)
    assert len(space.removable) == len(before.removable) + 3 * 3 * 2
    assert not [s for s in space.switchable if set(s.joints) & {n for w in space.switches for n in w.nodes}]
    assert {s.parameter_names for s in space.removable if s.num_parameters == 1} == {
        (s.parameter,) for s in space.switches
    }


@pytest.mark.parametrize("kind", ["plain", "softmax"])
@pytest.mark.parametrize("tied", [False, True])
def test_a_second_trace_finds_the_same_graph(
    given: tuple[TracedNetwork, SearchSpace], kind: str, tied: bool
) -> None:
    net, space = nasviz.add_switches(*given, kind=kind, cells=["Cell"] * tied)
    again = nasviz.trace(net, IMAGES)
    assert vertices(again) == vertices(net)
    assert nasviz.search_space(again).switches == space.switches
    assert dict(again.trace_graph.parameter_shapes) == dict(space.trace.parameter_shapes)


@pytest.mark.parametrize("name", SMALL)
def test_at_one_the_outputs_stay_bit_by_bit(name: str) -> None:
    check_identity(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(NETWORKS).difference(SMALL)))
def test_at_one_the_outputs_of_every_kind_of_network_stay(name: str) -> None:
    check_identity(name)


def check_identity(name: str) -> None:
    torch.manual_seed(0)
    make, inputs = NETWORKS[name]
    model, x = make(), inputs()
    net = nasviz.trace(model, x)
    space = nasviz.search_space(net)
    before = copy.deepcopy(net)
    switched, _ = nasviz.add_switches(net, space)
    for mode in (True, False):
        torch.manual_seed(0)
        wanted = before.train(mode)(*as_arguments(x))
        torch.manual_seed(0)
        got = switched.train(mode)(*as_arguments(x))
        for left, right in zip(tensors(wanted), tensors(got), strict=True):
            assert torch.equal(left, right)


def tensors(output: object) -> list[torch.Tensor]:
    return [leaf for leaf in pytree.tree_leaves(output) if isinstance(leaf, torch.Tensor)]


def as_arguments(x: object) -> tuple[object, ...]:
    return x if isinstance(x, tuple) else (x,)


def test_the_given_network_stays_as_it_was(given: tuple[TracedNetwork, SearchSpace]) -> None:
    net, space = given
    names, code = list(dict(net.named_parameters())), net.code
    switched, _ = nasviz.add_switches(net, space)
    assert (list(dict(net.named_parameters())), net.code) == (names, code)
    assert switched.get_parameter("stem.weight") is net.get_parameter("stem.weight")
    assert switched.training == net.training


def test_a_softmax_weighs_the_candidates_of_an_edge(given: tuple[TracedNetwork, SearchSpace]) -> None:
    generator = torch.Generator().manual_seed(0)
    net, space = nasviz.add_switches(*given, kind="softmax", joints=EDGES, generator=generator)
    for members in by_edge(space.switches).values():
        alpha = net.get_parameter(members[0].parameter)
        assert [s.index for s in members] == [0, 1, 2, 3]
        assert {s.parameter for s in members} == {members[0].parameter}
        torch.testing.assert_close(switch_values(net, members), alpha.softmax(0))
        assert 0 < alpha.std() < 0.01


def test_a_softmax_over_a_node_weighs_all_its_operands(given: tuple[TracedNetwork, SearchSpace]) -> None:
    net, space = nasviz.add_switches(*given, kind="softmax", over="node", joints=EDGES)
    assert [tuple(p.shape) for p in split_parameters(net)[1].values()] == [(4,), (8,)] * 3
    assert switch_values(net, space.switches).sum() == pytest.approx(6)


@pytest.mark.parametrize("wish", ["Cell", "cells.?"])
@pytest.mark.parametrize("kind", ["plain", "softmax"])
def test_cells_of_one_type_are_tied_and_others_are_not(
    given: tuple[TracedNetwork, SearchSpace], wish: str, kind: str
) -> None:
    net, space = nasviz.add_switches(*given, kind=kind, cells=[wish], joints=EDGES)
    first, halving, last = (space.switches[i : i + 12] for i in (0, 12, 24))
    assert [s.parameter for s in first] == [s.parameter for s in last]
    assert not {s.parameter for s in first} & {s.parameter for s in halving}
    assert len(split_parameters(net)[1]) == (2 * 12 if kind == "plain" else 2 * 3)


def test_gradients_of_tied_switches_add_up() -> None:
    net, space = copy.deepcopy(traced(torch.float64))
    alone, facts = nasviz.add_switches(net, space, joints=EDGES)
    tied, _ = nasviz.add_switches(net, space, joints=EDGES, cells=["Cell"])
    for network in (alone, tied):
        network.eval()(IMAGES.double()).square().sum().backward()
    for first, last in zip(facts.switches[:12], facts.switches[24:], strict=True):
        total = alone.get_parameter(first.parameter).grad + alone.get_parameter(last.parameter).grad
        torch.testing.assert_close(tied.get_parameter(first.parameter).grad, total)


def test_one_switch_per_channel_scales_each_channel(given: tuple[TracedNetwork, SearchSpace]) -> None:
    net, space = nasviz.add_switches(*given, where=["stem"], per_channel=True)
    (switch,) = space.switches
    factor = net.get_parameter(switch.parameter)
    assert factor.shape == (4, 1, 1)
    factor.data[1] = 0
    seen = []
    conv = net.get_submodule("cells.0.ops.0.2.1")
    hook = conv.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    net.eval()(IMAGES)
    hook.remove()
    assert (seen[0].abs().amax((0, 2, 3)) > 0).tolist() == [True, False, True, True]


def test_switches_go_where_names_say(given: tuple[TracedNetwork, SearchSpace]) -> None:
    _, space = nasviz.add_switches(*given, where=["cells.0.ops.0.2.1", "cells.1.mix"])
    assert [s.source for s in space.switches] == ["cells_0_ops_0_2_1", "cells_1_mix"]
    assert [s.nodes for s in space.switches] == [(), ("cells_2_ops_0_add_3", "cells_2_add")]


def test_a_second_time_only_what_has_no_switch_gets_one(given: tuple[TracedNetwork, SearchSpace]) -> None:
    net, space = nasviz.add_switches(*given, where="switchable", joints=EDGES)
    net, space = nasviz.add_switches(net, space, where="structures", joints=EDGES, initial=0.5)
    assert len(space.switches) == 36
    assert sorted(set(switch_values(net, space.switches).tolist())) == [0.5, 1.0]
    with pytest.raises(GraphError, match="no operation for a switch"):
        nasviz.add_switches(net, space, joints=EDGES)


def test_shared_weights_can_be_switched_off_one_by_one() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.head = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 2, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = x + self.conv(x)
            x = x + self.conv(x)
            return self.head(x)

    net = nasviz.trace(Shared(), IMAGES)
    space = nasviz.search_space(net)
    assert not space.removable
    switched, space = nasviz.add_switches(net, space, where="structures")
    first, last = space.removable
    assert [s.parameter_names for s in (first, last)] == [(s.parameter,) for s in space.switches]
    switched.get_parameter(space.switches[1].parameter).data.zero_()
    sub = nasviz.construct(switched, space)
    assert sub.report.selected == (last.id,)
    torch.testing.assert_close(sub.module.eval()(IMAGES), switched.eval()(IMAGES))


def test_protected_operations_get_none() -> None:
    net, space = traced()
    first = space.removable[0]
    protected = nasviz.search_space(net, protect=[first.id])
    _, switched = nasviz.add_switches(net, protected, where="structures", joints=EDGES)
    assert len(switched.switches) == 3 * 3 * 2 - 1
    assert [s.name for s in switched.structures if s.reason == "you protected it"] == [first.name]


@pytest.mark.parametrize(
    ("wishes", "error", "words"),
    [
        ({"kind": "gumbel"}, InvalidSettingError, "choose one of plain, softmax"),
        ({"over": "cell"}, InvalidSettingError, "choose one of edge, node"),
        ({"kind": "softmax", "per_channel": True}, InvalidSettingError, "whole operations"),
        ({"cells": ["Cell"], "per_channel": True}, InvalidSettingError, "differ in their widths"),
        ({"generator": torch.Generator()}, InvalidSettingError, "only used with kind='softmax'"),
        ({"cells": ["Sell"]}, UnknownVertexError, "cannot tie 'Sell'"),
        ({"where": ["nowhere"]}, UnknownVertexError, "cannot switch 'nowhere'"),
        ({"joints": ["mul"]}, GraphError, "no operation for a switch"),
    ],
)
def test_a_wish_that_cannot_be_met_says_why(
    given: tuple[TracedNetwork, SearchSpace], wishes: dict, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        nasviz.add_switches(*given, **wishes)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", "densenet121", "googlenet", "mobilenet_v3_small", "vit_b_16"])
def test_torchvision_networks_take_switches(name: str) -> None:
    x = torch.randn(2, 3, 224, 224)
    net = nasviz.trace(build(name), x).eval()
    switched, space = nasviz.add_switches(net, nasviz.search_space(net))
    assert len(space.removable) >= len(space.switches) > 0
    torch.testing.assert_close(switched.eval()(x), net(x), rtol=0, atol=0)
