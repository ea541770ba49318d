"""Table 4 of ASGNAS: without a hierarchy the network breaks, the more often the larger K."""

from __future__ import annotations

import random
from math import comb

import pytest
import torch

import nasviz
from nasviz.graph import Input, Output, SearchSpace, TraceGraph, Vertex, search_space
from nasviz.optim import create
from nasviz.optim.groups import SpaceBinding
from tests.optim.test_create import Parameters, ranked, steps

DEPTHS = (1, 3, 7, 5)
DRAWS = 300
PUBLISHED = {0.1: 99, 0.3: 67, 0.5: 31, 0.7: 4, 0.9: 0}


def blocks() -> SearchSpace:
    """The hierarchy of RegNetX-800MF: residual branches, with a second branch at the entry of each stage."""
    shape, vertices, shapes = (-1, 4), [], {}

    def linear(name: str, source: str) -> str:
        shapes[f"{name}.weight"] = (4, 4)
        layer = {"parameters": (f"{name}.weight",), "annihilates": True, "closes": True}
        attributes = {"in_features": 4, "out_features": 4}
        vertices.append(
            Vertex(name, name, "linear", (source,), shape, module=name, attributes=attributes, **layer)
        )
        return name

    last = linear("stem", "x")
    for stage, depth in enumerate(DEPTHS):
        for block in range(depth):
            name = f"block{stage}_{block}"
            branch = linear(f"{name}_branch", last)
            shortcut = last if block else linear(f"{name}_shortcut", last)
            vertices.append(
                Vertex(f"{name}_add", f"{name}_add", "add", (shortcut, branch), shape, keeps_zero=True)
            )
            vertices.append(
                Vertex(f"{name}_relu", f"{name}_relu", "relu", (f"{name}_add",), shape, keeps_zero=True)
            )
            last = f"{name}_relu"
    linear("head", last)
    outputs = (Output("output", "head"),)
    return search_space(TraceGraph("blocks", (Input("x", shape),), tuple(vertices), outputs, shapes))


@pytest.fixture(scope="module")
def space():
    return blocks()


def valid_share(k: int) -> float:
    """Sets of k of 16 + 4 that leave one of the two branches at each of the four entries."""
    return sum(comb(4, i) * 2**i * comb(12, k - i) for i in range(min(4, k) + 1)) / comb(20, k)


def check_the_pattern(space, parameters):
    """Random scores: how often the first K are a valid set, and that the hierarchy always finds one."""
    assert len(space.removable) == 20
    assert space.max_sparsity == 16
    binding, draws = SpaceBinding(parameters, space), random.Random(0)
    found = {}
    for ratio in PUBLISHED:
        k = int(20 * ratio + 1e-9)
        valid = 0
        for _ in range(DRAWS):
            scores = {s.id: draws.random() for s in space.removable}
            selected = space.select(scores, k, hierarchical=False)
            valid += space.is_valid(selected)
        assert binding.select(scores, k, hierarchical=False).is_valid is space.is_valid(selected)
        assert space.is_valid(space.select(scores, min(k, 16)))
        found[ratio] = 100 * valid / DRAWS
        assert found[ratio] == pytest.approx(100 * valid_share(k), abs=8)
    assert found == pytest.approx(PUBLISHED, abs=12)
    assert sorted(found.values(), reverse=True) == list(found.values())


def test_the_share_of_valid_sets_falls_as_in_the_documents(space):
    check_the_pattern(space, Parameters(space))


def test_with_the_hierarchy_every_k_up_to_the_largest_is_reached(space):
    net, draws = Parameters(space), random.Random(1)
    for k in range(17):
        order = [s.id for s in space.removable]
        draws.shuffle(order)
        optimizer = create(
            "h2spg_otov3",
            net,
            space,
            target_sparsity=k,
            warmup_steps=1,
            projection_steps=1,
            saliency=ranked(space, *order),
        )
        steps(net, optimizer, 2)
        assert len(optimizer.selected) == k
        assert space.is_valid(optimizer.selected)
        assert optimizer.is_valid is True


def test_an_invalid_set_is_trained_and_then_refused(space):
    net = Parameters(space)
    entry = [s.id for s in space.removable if s.name.startswith("block1_0")]
    assert len(entry) == 2
    settings = {"warmup_steps": 1, "projection_steps": 2, "saliency": ranked(space, *entry)}
    plain = create("dhspg", net, space, target_sparsity=2, **settings)
    hierarchical = create("h2spg_otov3", Parameters(space), space, target_sparsity=2, **settings)
    steps(net, plain, 4)
    steps(net, hierarchical, 2)
    assert (plain.is_valid, set(plain.selected)) == (False, set(entry))
    assert len(set(hierarchical.selected) & set(entry)) == 1
    with pytest.raises(nasviz.errors.InvalidSparsityError, match="cuts something required off"):
        space.check_erased(plain.selected)


def test_the_share_of_valid_sets_of_the_regnet_of_torchvision():
    models = pytest.importorskip("torchvision").models
    net = nasviz.trace(models.regnet_x_800mf(num_classes=10), torch.randn(2, 3, 32, 32))
    check_the_pattern(nasviz.search_space(net), net)
