"""A search ends: relations are let go of, operations go, factors become weights; outputs stay."""

from __future__ import annotations

import copy

import pytest
import torch

import nasviz
from nasviz.errors import ConstructionError
from nasviz.graph import by_edge
from nasviz.switches import set_switches_, split_parameters, switch_values
from nasviz.switches.inserting import Switched
from tests.switches.networks import EDGES, IMAGES, traced


def switched(*, affine: bool = True, **wishes: object) -> Switched:
    net, space = traced(torch.float64, affine)
    made = nasviz.add_switches(copy.deepcopy(net), space, joints=EDGES, **wishes)
    generator = torch.Generator().manual_seed(3)
    for parameter in split_parameters(made.network)[1].values():
        parameter.data += 0.3 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    made.network.eval()
    return made


def outputs(net: torch.nn.Module, mode: bool = False) -> torch.Tensor:
    return net.train(mode)(IMAGES.double()).detach()


@pytest.mark.parametrize(
    "wishes",
    [{}, {"kind": "softmax"}, {"kind": "softmax", "cells": ["Cell"]}],
    ids=["plain", "softmax", "cells"],
)
def test_settling_changes_no_output_and_unties(wishes: dict) -> None:
    net, space = switched(**wishes)
    alone, settled = nasviz.settle_switches(net, space)
    torch.testing.assert_close(outputs(alone), outputs(net), rtol=1e-12, atol=1e-12)
    assert len(split_parameters(alone)[1]) == len(settled.switches) == 36
    assert {s.index for s in settled.switches} == {None}
    torch.testing.assert_close(switch_values(alone, settled.switches), switch_values(net, space.switches))
    assert all(s.is_removable for s in settled.structures)
    again = nasviz.search_space(nasviz.trace(alone, IMAGES.double()))
    assert again.switches == settled.switches


def test_while_they_are_tied_an_identity_edge_says_what_holds_it() -> None:
    _, space = switched(cells=["Cell"])
    held = [s for s in space.structures if s.reason]
    assert len(held) == 2 * 3 * 2
    assert all("it shares the weights switches." in str(s.reason) for s in held)


def derived(wishes: dict) -> tuple[Switched, tuple[int, ...]]:
    """The weaker half of the candidates of each edge at zero."""
    net, space = nasviz.settle_switches(*switched(**wishes))
    values = dict(zip((s.vertex for s in space.switches), switch_values(net, space.switches), strict=True))
    off = [
        s
        for members in by_edge(space.switches).values()
        for s in sorted(members, key=lambda m: abs(values[m.vertex]))[:2]
    ]
    set_switches_(net, space, {s.vertex: 0.0 for s in off})
    return Switched(net, space), tuple(sorted(s.structure for s in off))


@pytest.mark.parametrize("wishes", [{}, {"kind": "softmax", "cells": ["Cell"]}])
def test_the_subnetwork_is_the_network_with_its_switches_off(wishes: dict) -> None:
    (net, space), off = derived(wishes)
    sub = nasviz.construct(net, space, inputs=IMAGES.double())
    assert sub.report.selected == off
    assert not sub.report.orphaned
    assert not any(space.segments[i].parameters for i in space.closure(off).difference(off))
    assert sub.report.max_relative_error < 1e-12
    assert sub.report.effect > 1e-3
    for mode in (False, True):
        torch.testing.assert_close(outputs(sub.module, mode), outputs(net, mode), rtol=1e-12, atol=1e-12)
    pools = [n for n in sub.module.graph.nodes if "max_pool2d" in str(n.target)]
    wanted = [s for s in space.switches if "-add" in s.name and s.structure not in off]
    assert len(pools) == len(wanted)


def test_folding_changes_no_output_and_no_mode() -> None:
    net, _ = switched(where="structures")
    folded = nasviz.fold_switches(net)
    for mode in (False, True):
        torch.testing.assert_close(outputs(folded, mode), outputs(net, mode), rtol=1e-11, atol=1e-11)
    assert not split_parameters(folded)[1]
    assert len(folded.trace_graph) == len(net.trace_graph) - 18
    folded.trace_graph.lint()
    assert len(nasviz.search_space(folded).removable) == 18
    fresh = nasviz.trace(folded, IMAGES.double()).trace_graph
    assert [(v.id, v.inputs) for v in fresh] == [(v.id, v.inputs) for v in folded.trace_graph]


def test_what_cannot_be_folded_stays_a_switch() -> None:
    net, space = switched(affine=False)
    folded = nasviz.fold_switches(net)
    torch.testing.assert_close(outputs(folded, True), outputs(net, True), rtol=1e-12, atol=1e-12)
    assert len(nasviz.search_space(folded).switches) == len(space.switches)
    set_switches_(net, space, {s.vertex: 1.0 for s in space.switches[:10]})
    folded = nasviz.fold_switches(net)
    assert len(nasviz.search_space(folded).switches) == len(space.switches) - 10
    torch.testing.assert_close(outputs(folded), outputs(net), rtol=1e-12, atol=1e-12)


def test_zeros_and_shared_weights_are_not_folded() -> None:
    net, space = switched(where="structures")
    set_switches_(net, space, {space.switches[0].vertex: 0.0})
    folded = nasviz.fold_switches(net)
    assert [s.parameter for s in nasviz.search_space(folded).switches] == [space.switches[0].parameter]
    left = nasviz.construct(folded, nasviz.search_space(folded), inputs=IMAGES.double())
    assert left.report.selected == (space.switches[0].structure,)
    torch.testing.assert_close(outputs(left.module), outputs(net), rtol=1e-11, atol=1e-11)


def test_switches_of_a_subnetwork_are_folded_and_it_can_be_saved(tmp_path) -> None:
    (net, space), _ = derived({})
    sub = nasviz.construct(net, space, inputs=IMAGES.double())
    folded = nasviz.fold_switches(sub.module)
    torch.testing.assert_close(outputs(folded), outputs(net), rtol=1e-11, atol=1e-11)
    loaded = nasviz.load(nasviz.save(sub, tmp_path))
    torch.testing.assert_close(outputs(loaded), outputs(net), rtol=1e-12, atol=1e-12)


def test_switches_train_and_their_state_comes_back() -> None:
    net, _ = switched(kind="softmax", cells=["Cell"])
    twin, _ = switched(kind="softmax", cells=["Cell"])
    optimizer = torch.optim.Adam(split_parameters(net)[1].values(), lr=0.1)
    before = outputs(net)
    net.train()(IMAGES.double()).square().sum().backward()
    optimizer.step()
    assert not torch.allclose(outputs(net), before)
    twin.load_state_dict(net.state_dict())
    torch.testing.assert_close(outputs(twin), outputs(net))


def test_setting_asks_for_switches_of_their_own() -> None:
    net, space = switched(kind="softmax")
    with pytest.raises(ConstructionError, match="settle it first"):
        set_switches_(net, space, {space.switches[0].vertex: 0.0})
    with pytest.raises(ConstructionError, match="no such switch"):
        set_switches_(net, space, {"stem": 0.0})


def test_an_export_keeps_switches(tmp_path) -> None:
    (net, space), _ = derived({})
    sub = nasviz.construct(net.float(), space)
    assert nasviz.export_onnx(sub, tmp_path / "model.onnx").max_relative_error < 1e-4
