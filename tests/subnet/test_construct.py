"""The sub-network computes what the full network computes with its redundant groups at zero."""

from __future__ import annotations

import copy
from functools import cache
from itertools import combinations

import pytest
import torch
from torch import nn

import nasviz
from nasviz.graph import SearchSpace
from tests.subnet import networks
from tests.subnet.networks import CAT_TAILS, MATERIALISED_TAILS, MOVING_TAILS, SUMS

RULES = {
    **{name: (lambda tail=tail: networks.Branches(tail())) for name, tail in CAT_TAILS.items()},
    **{name: (lambda tail=tail: networks.Branches(tail(), (4, 4, 4))) for name, tail in MOVING_TAILS.items()},
    **{name: (lambda tail=tail: networks.Branches(tail())) for name, tail in MATERIALISED_TAILS.items()},
    **{name: (lambda function=function: networks.Sum(function)) for name, function in SUMS.items()},
    "orphan": networks.Orphan,
    "dead end": networks.DeadEnd,
    "uneven": networks.Uneven,
    "auxiliary output": networks.Auxiliary,
}


@cache
def traced(name: str) -> tuple[nn.Module, SearchSpace, torch.Tensor]:
    torch.manual_seed(0)
    model = RULES[name]().double()
    spread_(model)
    x = torch.randn(3, 2, 8, 8, dtype=torch.float64)
    net = nasviz.trace(model, x)
    return net, nasviz.search_space(net), x


def spread_(model: nn.Module) -> None:
    """Give norms weights and statistics that are not one and zero."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d | nn.GroupNorm | nn.LayerNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -1, 1)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -1, 1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)


def valid_sets(space: SearchSpace) -> list[tuple[int, ...]]:
    ids = [s.id for s in space.removable]
    sets = [chosen for k in range(1, len(ids) + 1) for chosen in combinations(ids, k)]
    return [chosen for chosen in sets if space.is_valid(chosen)]


def tensors(outputs) -> list[torch.Tensor]:
    return torch.utils._pytree.tree_leaves(outputs)


@pytest.mark.parametrize("name", RULES)
def test_every_valid_set_is_exact(name: str) -> None:
    net, space, x = traced(name)
    sets = valid_sets(space)
    assert sets, "a network without valid sets tests nothing"
    for chosen in sets:
        zeroed = copy.deepcopy(net)
        nasviz.project_to_zero_(zeroed, space, chosen)

        sub = nasviz.construct(net, space, chosen)

        for mode in (False, True):
            full, small = zeroed.train(mode), sub.module.train(mode)
            for module in [*full.modules(), *small.modules()]:
                module.training = mode and not isinstance(module, nn.Dropout)
            for wanted, got in zip(tensors(full(x)), tensors(small(x)), strict=True):
                torch.testing.assert_close(got, wanted, rtol=1e-12, atol=1e-12)
        assert sub.report.max_relative_error <= 1e-12
        assert sub.report.effect > 1e-3
        assert sum(p.numel() for p in sub.module.parameters()) == sub.report.params_after
        assert sub.report.params_after < sub.report.params_before


@pytest.mark.parametrize("name", RULES)
def test_every_parameter_of_a_subnetwork_gets_a_gradient(name: str) -> None:
    net, space, x = traced(name)
    for chosen in valid_sets(space)[-3:]:
        module = nasviz.construct(net, space, chosen).module.train()

        sum(output.square().sum() for output in tensors(module(x))).backward()

        assert all(p.grad is not None and p.grad.isfinite().all() for p in module.parameters())


@pytest.mark.parametrize("name", [*CAT_TAILS, *MOVING_TAILS])
def test_a_rule_slices_and_materialises_nothing(name: str) -> None:
    net, space, _ = traced(name)
    for chosen in valid_sets(space):
        report = nasviz.construct(net, space, chosen).report
        assert not report.materialised or name == "left as an output"


@pytest.mark.parametrize("name", MATERIALISED_TAILS)
def test_where_no_rule_fits_zeros_are_written_back(name: str) -> None:
    net, space, _ = traced(name)
    assert nasviz.construct(net, space, valid_sets(space)[0]).report.materialised


def test_demonet_reaches_its_published_size() -> None:
    model = nasviz.zoo.DemoNet()
    net = nasviz.trace(model, torch.randn(2, 1, 28, 28))
    space = nasviz.search_space(net)
    removed = [s.id for s in space.structures if s.name in ("conv2-bn2", "maxpool-conv3-bn3", "conv8-bn8")]

    report = nasviz.construct(net, space, removed).report

    assert (report.params_after, report.macs_after) == (447_410, 106_813_600)
    assert report.max_relative_error <= 1e-5 < report.effect
    assert report.bypassed == ("cat", "add_1")
    assert report.sliced == {"conv6.weight": (184, 104, 3, 3)}
