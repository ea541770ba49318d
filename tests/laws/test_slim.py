"""Every network, random valid channel groups: the sub-network is the network with these groups at zero."""

from __future__ import annotations

import copy
import random
import warnings
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.utils import _pytree as pytree

import nasviz
from nasviz.errors import InvalidSparsityError
from nasviz.graph import SearchSpace
from nasviz.subnet.construct import apply_plan
from tests.laws.cases import enliven_
from tests.laws.slim_networks import NETWORKS

SHARES = {"few": 0.25, "half": 0.5, "all": 1.0}


@dataclass(frozen=True)
class Case:
    """A traced network in double precision."""

    model: nn.Module
    net: nn.Module
    space: SearchSpace
    x: tuple[Tensor, ...]

    def groups(self, share: str, seed: int) -> tuple[int, ...]:
        """Random groups that may go together."""
        channels, rng = self.space.channels, random.Random(seed)
        k = max(1, int(channels.max_groups() * SHARES[share]))
        chosen = channels.select({i: rng.random() for i in range(len(channels))}, k)
        assert len(chosen) == k
        return chosen


@lru_cache(maxsize=1)  # the tests of one network stand together
def case(name: str) -> Case:
    torch.manual_seed(0)
    make, inputs = NETWORKS[name]
    model = make()
    enliven_(model)
    x = inputs()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net = nasviz.trace(model, x)
    return Case(model, net, nasviz.search_space(net), x if isinstance(x, tuple) else (x,))


@torch.no_grad()
def outputs(net: nn.Module, x: tuple[Tensor, ...], *, is_training: bool) -> list[Tensor]:
    """What a network returns; in training norms use the batch, and nothing is dropped."""
    net = copy.deepcopy(net)
    for module in net.modules():
        module.training = is_training and isinstance(module, _NormBase)
    return [t for t in pytree.tree_leaves(net(*x)) if isinstance(t, Tensor)]


def error(zeroed: nn.Module, small: nn.Module, x: tuple[Tensor, ...]) -> float:
    """The largest difference in evaluation and training, relative to the largest value."""
    return max(
        float((w - g).abs().max() / w.abs().max())
        for is_training in (False, True)
        for w, g in zip(
            outputs(zeroed, x, is_training=is_training),
            outputs(small, x, is_training=is_training),
            strict=True,
        )
    )


def double(value: Any) -> Any:
    return pytree.tree_map_only(Tensor, lambda t: t.double() if t.is_floating_point() else t, value)


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("name", NETWORKS, scope="module")
def test_a_slim_network_equals_the_zeroed_one(name: str, share: str) -> None:
    check(case(name), share, 0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 4))
@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("name", NETWORKS, scope="module")
def test_many_slim_networks_equal_their_zeroed_ones(name: str, share: str, seed: int) -> None:
    check(case(name), share, seed)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["resnet18", "mobilenet_v3_small", "convnext_tiny", "vit_tiny"], scope="module"
)
def test_networks_of_torchvision_are_slimmed_exactly(name: str) -> None:
    from torchvision.models import VisionTransformer, get_model

    torch.manual_seed(0)
    model = VisionTransformer(64, 16, 3, 3, 192, 384) if name == "vit_tiny" else get_model(name, weights=None)
    enliven_(model)
    x = torch.randn(2, 3, 64, 64)
    net = nasviz.trace(model, x)
    made = Case(model, net, nasviz.search_space(net), (x,))
    sub = nasviz.construct(net, made.space, (), channels=made.groups("half", 0))
    assert not sub.report.materialised
    assert sub.report.max_relative_error <= 1e-5
    assert sub.report.effect > 1e-4
    assert sub.report.params_after < 0.75 * sub.report.params_before


def check(made: Case, share: str, seed: int) -> None:
    chosen = made.groups(share, seed)
    fine = copy.deepcopy(made.net).double()
    zeroed = copy.deepcopy(fine)
    nasviz.project_to_zero_(zeroed, made.space, (), channels=chosen)
    model = copy.deepcopy(made.model)
    nasviz.project_to_zero_(model, made.space, (), channels=chosen)

    plan = made.space.plan((), (), chosen)
    small = apply_plan(copy.deepcopy(zeroed), made.space.trace, plan)

    assert not plan.fills, "every reader of a channel group has a rule"
    assert error(zeroed, small, double(made.x)) <= 1e-10
    assert error(fine, zeroed, double(made.x)) > 1e-4, "the channels change nothing: it would say nothing"
    assert error(model.double().float(), copy.deepcopy(small).float(), made.x) <= 1e-5
    assert sum(p.numel() for p in small.parameters()) == plan.params_after < plan.params_before


@pytest.mark.parametrize("name", NETWORKS, scope="module")
def test_construction_measures_and_the_result_goes_on(name: str) -> None:
    made = case(name)
    chosen = made.groups("half", 3)
    sub = nasviz.construct(made.net, made.space, (), channels=chosen)
    assert sub.report.channels == chosen
    assert sub.report.max_relative_error <= 1e-5
    assert sub.report.effect > 1e-4
    for member, structure in ((m, s) for s in made.space.channels.slimmable for m in s.members):
        if member.part == "stem":
            before, after = sub.report.widths.get(member.vertex, (0, 0))
            gone = {row for i in structure.groups if i in chosen for row in structure.rows(member, i)}
            assert not gone or before - after >= len(gone), "each member loses the same groups"

    module = sub.module.train()
    sum(t.square().mean() for t in pytree.tree_leaves(module(*made.x))).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in module.parameters())


@pytest.mark.parametrize("name", NETWORKS, scope="module")
def test_a_wrong_index_map_breaks_the_law(name: str) -> None:
    made = case(name)
    chosen = made.groups("half", 0)
    zeroed = copy.deepcopy(made.net).double()
    nasviz.project_to_zero_(zeroed, made.space, (), channels=chosen)
    plan = made.space.plan((), (), chosen)
    readers = {
        (m.vertex, m.tensor, m.dim)
        for s in made.space.channels.slimmable
        for m in s.members
        if m.part == "reader"
    }
    shapes = made.space.trace.parameter_shapes
    moved = []
    for piece in plan.slices:
        length = shapes.get(piece.tensor, (0,) * 5)[piece.dim]
        if (piece.vertex, piece.tensor, piece.dim) in readers:
            live = [row for row in range(length) if row not in piece.rows]
            swapped = (*piece.rows[1:], live[-1])
            moved.append(replace(piece, rows=tuple(sorted(swapped))))
        else:
            moved.append(piece)
    assert moved != list(plan.slices)
    small = apply_plan(copy.deepcopy(zeroed), made.space.trace, replace(plan, slices=tuple(moved)))
    assert error(zeroed, small, double(made.x)) > 1e-3


@pytest.mark.parametrize("name", ["residual", "dense", "depthwise", "gated", "flattened"], scope="module")
def test_a_row_that_is_not_zeroed_breaks_the_law(name: str) -> None:
    """A norm's shift belongs to the group: it would be read as a constant."""
    made = case(name)
    chosen = made.groups("half", 0)
    zeroed = copy.deepcopy(made.net).double()
    nasviz.project_to_zero_(zeroed, made.space, (), channels=chosen)
    small = apply_plan(copy.deepcopy(zeroed), made.space.trace, made.space.plan((), (), chosen))
    norms = {v.parameters[1] for v in made.space.trace if v.operator == "batch_norm"}
    rows = [s for s in made.space.channels.slices(chosen) if s.tensor in norms]
    for row in rows:
        zeroed.get_parameter(row.tensor).data[list(row.rows)] = 1.0
    assert rows
    assert error(zeroed, small, double(made.x)) > 1e-3


@pytest.mark.parametrize("name", ["residual", "transformer", "shuffled by hand"], scope="module")
def test_zero_groups_are_read_from_the_weights(name: str) -> None:
    made = case(name)
    chosen = made.groups("half", 1)
    zeroed = copy.deepcopy(made.net)
    nasviz.project_to_zero_(zeroed, made.space, (), channels=chosen)

    sub = nasviz.construct(zeroed, made.space)

    assert sub.report.channels == chosen
    assert sub.report.effect > 1e-4, "weights are drawn to measure it"
    again = nasviz.trace(sub.module, made.x)
    assert nasviz.construct(again, nasviz.search_space(again)).report.channels == ()


def test_an_operator_keeps_a_channel() -> None:
    made = case("residual")
    (wide, *_) = made.space.channels.slimmable
    with pytest.raises(InvalidSparsityError, match="would keep no channel"):
        made.space.plan((), (), wide.groups)
    with pytest.raises(InvalidSparsityError, match="only 0 to"):
        made.space.channels.select(dict.fromkeys(range(len(made.space.channels)), 0.0), 11)


@pytest.mark.parametrize("divisible", [2, 3])
def test_widths_are_rounded_up_to_multiples(divisible: int) -> None:
    made = case("projection")
    channels = made.space.channels
    chosen = channels.select({i: float(i) for i in range(len(channels))}, 8, divisible=divisible)
    for _, after in made.space.plan((), (), chosen).widths.values():
        assert after % divisible == 0


def test_channels_go_with_structures_together() -> None:
    made = case("residual")
    (first, *_) = made.space.removable
    gone = {v for i in made.space.closure([first.id]) for v in made.space.segments[i].vertices}
    channels = made.space.channels
    k = channels.max_groups(erased=gone) // 2
    chosen = channels.select({i: float(-i) for i in range(len(channels))}, k, erased=gone)

    sub = nasviz.construct(made.net, made.space, [first.id], channels=chosen)

    assert sub.report.selected == (first.id,)
    assert sub.report.channels == chosen
    assert sub.report.max_relative_error <= 1e-5


def test_streams_under_a_layer_norm_say_why_they_stay() -> None:
    made = case("transformer")
    reason = made.space.channels.why_not("mlp_2")
    assert reason is not None
    assert "LayerNorm" in reason
    assert made.space.channels.why_not("mlp_0") is None


def test_protected_operators_keep_their_channels() -> None:
    made = case("residual")
    space = nasviz.search_space(made.net, protect=["1.body.0.0"])
    assert space.channels.why_not("_1_body_0_0") is None or "protected" in str(
        space.channels.why_not("_1_body_0_0")
    )
    assert len(space.channels) < len(made.space.channels)
