"""Idioms of real networks: the channels that a person expects can go, exactly; others say why not."""

from __future__ import annotations

import copy
import warnings
from functools import lru_cache
from importlib import import_module

import pytest
import torch
from torch import nn

import nasviz
from nasviz.graph import SearchSpace
from nasviz.graph.trace_graph import TraceGraph
from tests.laws.channel_idioms import IDIOMS, KEPT, tokens


@lru_cache(maxsize=1)  # the tests of one network stand together
def case(name: str) -> tuple[nn.Module, SearchSpace]:
    make, inputs, _ = IDIOMS.get(name) or KEPT[name]
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net = nasviz.trace(make(), inputs())
    return net, nasviz.search_space(net)


@pytest.mark.parametrize("name", IDIOMS, scope="module")
def test_channels_of_an_idiom_go_exactly(name: str) -> None:
    net, space = case(name)
    channels = space.channels
    assert len(channels) == IDIOMS[name][2]
    most = channels.max_groups()
    scores = {i: float(i * 7 % 5) + i / 100 for i in range(len(channels))}
    for k in sorted({1, max(1, most // 2), most}) if most else ():
        chosen = channels.select(scores, k)
        sub = nasviz.construct(net, space, (), channels=chosen)
        assert not sub.report.materialised
        assert sub.report.max_relative_error <= 1e-5
        assert sub.report.params_after < sub.report.params_before
    if most:
        assert sub.report.effect > 1e-4, "the channels change nothing: it would say nothing"


@pytest.mark.parametrize(
    "name", ["einsum", "FrozenBatchNorm2d", "octave convolution", "GroupNorm without affine"]
)
def test_channels_of_an_idiom_go_in_double_precision(name: str) -> None:
    make, inputs, _ = IDIOMS[name]
    torch.manual_seed(0)
    net = nasviz.trace(make().double(), inputs().double())
    space = nasviz.search_space(net)
    most = space.channels.max_groups()
    chosen = space.channels.select(dict.fromkeys(range(len(space.channels)), 1.0), most)
    assert nasviz.construct(net, space, (), channels=chosen).report.max_relative_error <= 1e-12


@pytest.mark.parametrize("name", ["viewed factor and offset", "FrozenBatchNorm2d", "octave convolution"])
def test_zero_channels_of_an_idiom_are_found_in_its_weights(name: str) -> None:
    net, space = case(name)
    zeroed = copy.deepcopy(net)
    nasviz.project_to_zero_(zeroed, space, (), channels=(1, 4))
    assert nasviz.construct(zeroed, space).report.channels == (1, 4)


@pytest.mark.parametrize(
    "name",
    [
        "weight times a number",
        "weight times a factor per column",
        "weight and an update of low rank",
        "mixture of weights",
        "product with a transposed weight",
        "sign of a factor",
        "last column as bias",
        "tied modules",
    ],
    scope="module",
)
def test_every_channel_of_a_computed_weight_is_zero_with_its_group(name: str) -> None:
    net, space = case(name)
    x = torch.cat([IDIOMS[name][1]() for _ in range(16)])
    for group in range(len(space.channels)):
        sub = nasviz.construct(net, space, (), channels=(group,))
        zeroed = copy.deepcopy(net).eval()
        nasviz.project_to_zero_(zeroed, space, (), channels=(group,))
        assert zeroed(x).isfinite().all()
        torch.testing.assert_close(sub.module.eval()(x), zeroed(x), atol=1e-5, rtol=1e-4)
        other = copy.deepcopy(net).eval()
        nasviz.project_to_zero_(other, space, (), channels=((group + 1) % len(space.channels),))
        assert not torch.allclose(other(x), zeroed(x), atol=1e-4), "any channel would do"


def test_no_channel_that_is_not_zero_hides_behind_an_activation(monkeypatch: pytest.MonkeyPatch) -> None:
    net, space = case("linear of a parameter")
    construction = import_module("nasviz.subnet.construct")  # the package has a function of this name
    monkeypatch.setattr(construction, "zero_tensors", lambda net, group: {})
    for group in range(len(space.channels)):
        with pytest.raises(nasviz.errors.ConstructionError):
            nasviz.construct(net, space, (), channels=(group,))


def test_multiply_accumulates_fall_with_the_channels_of_a_product_along_another_axis() -> None:
    net, space = case("product along another axis")
    sub = nasviz.construct(net, space, (), channels=(0, 5))
    again = nasviz.trace(copy.deepcopy(sub.module), tokens())
    assert again.trace_graph.macs == sub.report.macs_after < sub.report.macs_before


@pytest.mark.parametrize("name", KEPT, scope="module")
def test_channels_that_cannot_go_say_why(name: str) -> None:
    _, space = case(name)
    reasons = {space.channels.why_not(v.id) for v in space.trace}
    assert any(KEPT[name][2] in str(reason) for reason in reasons), reasons
    assert len(space.channels) == 0


def test_a_slice_of_a_weight_that_is_cut_wrongly_breaks_the_law() -> None:
    net, space = case("first rows and columns of a larger convolution")
    x = torch.randn(2, 3, 8, 8)
    zeroed = copy.deepcopy(net).eval()
    nasviz.project_to_zero_(zeroed, space, (), channels=(0,))
    sub = nasviz.construct(net, space, (), channels=(0,)).module.eval()
    other = nasviz.construct(net, space, (), channels=(1,)).module.eval()
    assert torch.allclose(sub(x), zeroed(x), atol=1e-5)
    assert not torch.allclose(other(x), zeroed(x), atol=1e-3)


def test_computed_weights_survive_the_json_of_a_graph() -> None:
    _, space = case("FrozenBatchNorm2d")
    again = TraceGraph.from_json(space.trace.to_json())
    assert again.computed == space.trace.computed
    assert len(nasviz.search_space(again).channels) == len(space.channels)


def test_an_optimizer_brings_channels_of_a_frozen_norm_to_zero() -> None:
    make, inputs, _ = IDIOMS["FrozenBatchNorm2d in residual blocks"]
    torch.manual_seed(0)
    net = nasviz.trace(make(), inputs())
    space = nasviz.search_space(net)
    settings = {"target_sparsity": 0, "slim": 4, "warmup_steps": 2, "projection_steps": 4}
    optimizer = nasviz.optim.create("h2spg", net, space, lr=0.05, **settings)
    for _ in range(8):
        optimizer.zero_grad()
        net(inputs()).square().mean().backward()
        optimizer.step()
    assert len(optimizer.channels) == 4
    assert nasviz.construct(net, space).report.channels == optimizer.channels


@pytest.mark.parametrize(
    ("name", "called"),
    [
        ("MultiheadAttention", "head 2 of attention"),
        ("heads by hand", "head 2 of q and 2 more"),
        ("conv2d of a parameter", "channel 2 of "),
    ],
)
def test_groups_have_the_names_that_people_give_them(name: str, called: str) -> None:
    _, space = case(name)
    assert space.channels.name_of(2).startswith(called)
