"""The sub-network computes what the full network computes with its redundant groups at zero."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from functools import cache
from itertools import combinations

import pytest
import torch
from torch import nn

import nasviz
from nasviz.errors import ConstructionError, InvalidSparsityError
from nasviz.graph import SearchSpace
from nasviz.models.demonet import DemoNet
from nasviz.models.stacked_unets import StackedUnets
from nasviz.subnet import Subnetwork
from tests.subnet import networks
from tests.subnet.networks import (
    CAT_TAILS,
    FOLDED_TAILS,
    MATERIALISED_TAILS,
    MOVING_TAILS,
    REORDERED_TAILS,
    SUMS,
)

RULES = {
    **{name: (lambda tail=tail: networks.Branches(tail())) for name, tail in CAT_TAILS.items()},
    **{name: (lambda tail=tail: networks.Branches(tail(), (4, 4, 4))) for name, tail in MOVING_TAILS.items()},
    **{name: (lambda tail=tail: networks.Branches(tail())) for name, tail in MATERIALISED_TAILS.items()},
    **{name: (lambda tail=tail: networks.Branches(tail())) for name, tail in FOLDED_TAILS.items()},
    **{
        name: (lambda tail=tail: networks.Branches(tail(), (4, 4, 4)))
        for name, tail in REORDERED_TAILS.items()
    },
    **{name: (lambda function=function: networks.Sum(function)) for name, function in SUMS.items()},
    "orphan": networks.Orphan,
    "dead end": networks.DeadEnd,
    "uneven": networks.Uneven,
    "auxiliary output": networks.Auxiliary,
    "two heads": networks.TwoHeads,
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


@cache
def constructed(name: str) -> dict[tuple[int, ...], Subnetwork]:
    """The sub-network of every valid set."""
    net, space, _ = traced(name)
    return {chosen: nasviz.construct(net, space, chosen) for chosen in valid_sets(space)}


@pytest.mark.parametrize("name", RULES)
def test_every_valid_set_is_exact(name: str) -> None:
    net, space, x = traced(name)
    assert constructed(name), "a network without valid sets tests nothing"
    for chosen, sub in constructed(name).items():
        zeroed = copy.deepcopy(net)
        nasviz.project_to_zero_(zeroed, space, chosen)

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
    _, _, x = traced(name)
    for sub in list(constructed(name).values())[-3:]:
        module = sub.module.train()

        sum(output.square().sum() for output in tensors(module(x))).backward()

        assert all(p.grad is not None and p.grad.isfinite().all() for p in module.parameters())


@pytest.mark.parametrize("name", [*CAT_TAILS, *MOVING_TAILS, *FOLDED_TAILS, *REORDERED_TAILS])
def test_a_rule_slices_and_materialises_nothing(name: str) -> None:
    for sub in constructed(name).values():
        assert not sub.report.materialised or name == "left as an output"


@pytest.mark.parametrize("name", FOLDED_TAILS)
def test_constants_become_part_of_a_bias(name: str) -> None:
    assert all(sub.report.folded for sub in constructed(name).values())


@pytest.mark.parametrize("name", REORDERED_TAILS)
def test_channels_in_between_others_are_picked_out(name: str) -> None:
    _, _, x = traced(name)
    gathered, subs = 0, list(constructed(name).values())
    for sub in subs[:: -(-len(subs) // 2)]:  # at most two: each is traced again
        gathered += len(sub.report.gathered)
        again = nasviz.trace(sub.module, x)
        assert again.trace_graph.macs == sub.report.macs_after
    assert gathered


@pytest.mark.parametrize("factor", [0.0, 1.001])
def test_a_constant_that_is_folded_wrongly_breaks_the_law(
    factor: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    net, space, _ = traced("sigmoid")
    chosen = valid_sets(space)[0]
    plan = space.plan(chosen)
    folds = tuple(replace(f, values=tuple(factor * value for value in f.values)) for f in plan.folds)
    monkeypatch.setattr(SearchSpace, "plan", lambda *_: replace(plan, folds=folds))
    with pytest.raises(ConstructionError, match="differs from the network"):
        nasviz.construct(net, space, chosen)


def test_a_channel_that_is_picked_from_the_wrong_place_breaks_the_law(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    net, space, _ = traced("interleaved")
    chosen = valid_sets(space)[0]
    plan = space.plan(chosen)
    gathers = tuple(replace(g, index=(g.index[1], g.index[0], *g.index[2:])) for g in plan.gathers)
    monkeypatch.setattr(SearchSpace, "plan", lambda *_: replace(plan, gathers=gathers))
    with pytest.raises(ConstructionError, match="differs from the network"):
        nasviz.construct(net, space, chosen)


def test_a_new_bias_is_as_narrow_as_the_weight() -> None:
    """Filters of a linear map without a bias are slimmed while its constants are folded."""
    torch.manual_seed(0)
    model = networks.Branches(
        nn.Sequential(nn.Sigmoid(), nn.Conv2d(12, 6, 1, bias=False), nn.ReLU(), nn.Conv2d(6, 2, 1))
    ).double()
    net = nasviz.trace(model, torch.randn(2, 2, 8, 8, dtype=torch.float64))
    space = nasviz.search_space(net)
    slimmed = next(s for s in space.channels.slimmable if "tail_1" in s.stems)
    sub = nasviz.construct(net, space, [space.removable[0].id], channels=slimmed.groups[:2])
    assert sub.report.max_relative_error <= 1e-12
    assert sub.module.get_parameter("tail.1.bias").shape == (4,)


@pytest.mark.parametrize("name", MATERIALISED_TAILS)
def test_where_no_rule_fits_zeros_are_written_back(name: str) -> None:
    assert next(iter(constructed(name).values())).report.materialised


def test_demonet_reaches_its_published_size() -> None:
    model = DemoNet()
    net = nasviz.trace(model, torch.randn(2, 1, 28, 28))
    space = nasviz.search_space(net)
    removed = [s.id for s in space.structures if s.name in ("conv2-bn2", "maxpool-conv3-bn3", "conv8-bn8")]

    report = nasviz.construct(net, space, removed).report

    assert (report.params_after, report.macs_after) == (447_410, 106_813_600)
    assert report.max_relative_error <= 1e-5 < report.effect
    assert report.bypassed == ("cat", "add_1")
    assert report.sliced == {"conv6.weight": (184, 104, 3, 3)}


def test_stacked_unets_lose_their_published_set_without_any_difference() -> None:
    torch.manual_seed(0)
    net = nasviz.trace(StackedUnets(), torch.randn(2, 3, 32, 32))
    space = nasviz.search_space(net)
    starts = ("maxpool13", "conv50", "conv63", "relu72")
    removed = [s.id for s in space.structures if s.name.split("-")[0] in starts]
    assert len(removed) == 4

    report = nasviz.construct(net, space, removed).report

    assert report.max_relative_error == 0
    assert report.effect > 0.01
    assert (report.params_before, report.params_after) == (795_466, 369_370)
    assert set(report.erased.values()) == {"selected", "dead end"}


def small() -> tuple[nn.Module, SearchSpace, torch.Tensor]:
    return traced("norm rows")


def test_the_full_network_is_left_as_it_was() -> None:
    net, space, _ = small()
    net.train()
    net.tail.get_submodule("0").eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    modes = {name: module.training for name, module in net.named_modules()}
    code = net.code

    nasviz.construct(net, space, valid_sets(space)[0])

    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert modes == {name: module.training for name, module in net.named_modules()}
    assert net.code == code


def test_construction_is_deterministic_and_leaves_the_random_state_alone() -> None:
    net, space, _ = small()
    state = torch.random.get_rng_state()
    one, two = (nasviz.construct(net, space, valid_sets(space)[2]) for _ in range(2))
    assert one.module.code == two.module.code
    assert one.report == two.report
    assert torch.equal(state, torch.random.get_rng_state())
    for name, value in one.module.state_dict().items():
        assert torch.equal(value, two.module.state_dict()[name])


@pytest.mark.parametrize("name", ["norm rows", "group norm", "shuffled", "auxiliary output"])
def test_a_subnetwork_is_traced_and_searched_again(name: str) -> None:
    net, space, x = traced(name)
    sub = nasviz.construct(net, space, valid_sets(space)[0])

    again = nasviz.trace(sub.module, x)
    found = nasviz.search_space(again)
    same = nasviz.construct(again, found)

    assert same.report.selected == ()
    assert same.report.params_after == same.report.params_before == sub.report.params_after
    assert same.report.macs_after == sub.report.macs_after
    assert len(same.module.graph.nodes) == len(sub.module.graph.nodes)
    assert found.max_sparsity == space.max_sparsity - len(sub.report.selected)


def test_left_out_the_set_is_read_from_the_weights() -> None:
    net, space, _ = small()
    chosen = valid_sets(space)[-1]
    zeroed = copy.deepcopy(net)
    nasviz.project_to_zero_(zeroed, space, chosen)

    sub = nasviz.construct(zeroed, space)

    assert sub.report.selected == chosen
    assert sub.report.effect == sub.report.max_relative_error == 0


def test_an_invalid_set_of_zeros_is_refused_by_name() -> None:
    net, space, _ = traced("sum")
    zeroed = copy.deepcopy(net)
    for name, parameter in zeroed.named_parameters():
        if name.startswith(("a.", "b.")):
            nn.init.zeros_(parameter)
    with pytest.raises(InvalidSparsityError, match=r"a\.0-1, b together"):
        nasviz.construct(zeroed, space)


def test_a_network_that_does_not_fit_the_space_is_refused() -> None:
    net, _, _ = traced("norm rows")
    _, space, _ = traced("orphan")
    with pytest.raises(ConstructionError, match="missing in the network"):
        nasviz.construct(net, space, [space.removable[0].id])
    changed = copy.deepcopy(net)
    changed.c.weight = nn.Parameter(torch.zeros(6, 4, 1, 1))
    with pytest.raises(ConstructionError, match=r"c\.weight has shape \(5, 4, 1, 1\)"):
        nasviz.construct(changed, traced("norm rows")[1], [])


def test_an_optional_output_may_be_lost() -> None:
    net, space, x = traced("two heads")
    trace = space.trace
    outputs = (trace.outputs[0], replace(trace.outputs[1], is_required=False))
    relaxed = nasviz.search_space(replace(trace, outputs=outputs))
    removed = [s.id for s in relaxed.removable if s.name.startswith(("c", "d"))]
    assert not space.is_valid(removed)

    sub = nasviz.construct(net, relaxed, removed)

    assert sub.report.lost_outputs == (trace.outputs[1].id,)
    main, other = sub.module(x)
    assert other is None
    assert main.shape == net(x)[0].shape


def test_a_report_is_plain_data() -> None:
    net, space, _ = small()
    report = nasviz.construct(net, space, valid_sets(space)[0]).report
    data = json.loads(json.dumps(report.to_json()))
    assert data["params_after"] == report.params_after
    assert [check["name"] for check in data["checks"]] == [
        "evaluation",
        "evaluation with random statistics",
        "training",
    ]


def test_frozen_parameters_stay_frozen() -> None:
    net, space, _ = small()
    copied = copy.deepcopy(net)
    copied.get_parameter("tail.2.weight").requires_grad_(False)
    sub = nasviz.construct(copied, space, valid_sets(space)[0])
    assert not sub.module.get_parameter("tail.2.weight").requires_grad
    assert "tail.2.weight" in sub.report.sliced


def test_the_batch_stays_free_where_zeros_are_written_back() -> None:
    net, space, x = traced("group norm")
    sub = nasviz.construct(net, space, valid_sets(space)[0])
    assert sub.module.eval()(x[:1]).shape[0] == 1
    assert sum("fill_" in name for name, _ in sub.module.named_buffers()) == 1


def test_tokens_are_drawn_within_their_table() -> None:
    torch.manual_seed(0)
    net = nasviz.trace(networks.Tokens(), torch.randint(7, (2, 5)))
    space = nasviz.search_space(net)
    report = nasviz.construct(net, space, [space.removable[0].id]).report
    assert report.max_relative_error < 1e-5 < report.effect
    given = nasviz.construct(net, space, [space.removable[0].id], inputs=torch.randint(7, (4, 5)))
    assert given.report.max_relative_error < 1e-5


def test_where_single_precision_is_not_enough_double_precision_decides(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    net, space, x = small()
    single = copy.deepcopy(net).float()
    strict = {torch.float32: -1.0, torch.float64: 1e-9}
    monkeypatch.setattr("nasviz.subnet.parity.tolerance", strict.__getitem__)
    checks = nasviz.construct(single, space, valid_sets(space)[0], inputs=x.float()).report.checks
    assert all(check.name.endswith("in double precision") for check in checks)
    assert max(check.relative_error for check in checks) <= 1e-12


def test_the_effect_of_groups_that_training_made_zero_is_measured_with_drawn_weights() -> None:
    torch.manual_seed(0)
    model, example = nasviz.zoo.create("demonet", width=0.25)
    net = nasviz.trace(model, example)
    space = nasviz.search_space(net)
    nasviz.project_to_zero_(net, space, [1, 10])
    before = {name: value.clone() for name, value in net.state_dict().items()}

    report = nasviz.construct(net, space).report

    assert report.selected == (1, 10)
    assert report.max_relative_error <= 1e-5 < 1e-2 < report.effect
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_statistics_that_saw_zeros_for_long_do_not_keep_a_network_from_being_cut():
    class Chain(nn.Module):
        def __init__(self):
            super().__init__()
            branches = [nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2)) for _ in range(20)]
            self.branches, self.head = nn.ModuleList(branches), nn.Linear(2, 2)

        def forward(self, x):
            for branch in self.branches:
                x = x + branch(x)
            return self.head(x.mean(dim=(2, 3)))

    model = Chain()
    for branch in model.branches:
        branch[1].running_var.fill_(1e-30)
    net = nasviz.trace(model, torch.randn(2, 2, 4, 4))
    space = nasviz.search_space(net)
    everything = [s.id for s in space.removable]
    nasviz.project_to_zero_(net, space, everything)
    sub = nasviz.construct(net, space)
    assert set(sub.report.selected) == set(everything)
    assert 0 < sub.report.effect < float("inf")
    assert model.branches[0][1].running_var[0] == pytest.approx(1e-30)
