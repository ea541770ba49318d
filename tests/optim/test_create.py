from __future__ import annotations

import pytest
import torch
from torch import nn

from nasviz import catalog
from nasviz.errors import InvalidSettingError, InvalidSparsityError, UnknownNameError
from nasviz.graph import SearchSpace, search_space
from nasviz.optim import OPTIMIZERS, create
from nasviz.optim.create import INNER_OPTIMIZERS
from nasviz.optim.groups import SpaceBinding, count_of
from nasviz.saliency import SALIENCIES, Saliency
from nasviz.settings import METHODS
from tests.graph.networks import demonet
from tests.graph.random_networks import random_network

# DemoNet's structures by the documents' names (algorithm 2 numbers the segments breadth first).
G2, G3, G4, G5, G7, G8 = 1, 2, 5, 6, 9, 10


class Parameters(nn.Module):
    """Parameters by the names of a trace graph; no forward pass is needed to make a step."""

    def __init__(self, space: SearchSpace) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        for name, shape in space.trace.parameter_shapes.items():
            module: nn.Module = self
            *path, leaf = name.split(".")
            for part in path:
                if not hasattr(module, part):
                    module.add_module(part, nn.Module())
                module = getattr(module, part)
            module.register_parameter(leaf, nn.Parameter(torch.randn(shape, generator=generator)))


@pytest.fixture(scope="module")
def space():
    return search_space(demonet())


@pytest.fixture
def net(space):
    return Parameters(space)


def ranked(space, *order):
    """A saliency that puts these structures first, in this order."""
    return lambda reductions: torch.tensor(
        [order.index(s.id) if s.id in order else 99.0 + s.id for s in space.removable], dtype=torch.float64
    )


def steps(net, optimizer, num_steps):
    for _ in range(num_steps):
        for parameter in net.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()


def test_figure_3_skips_the_structure_that_would_cut_the_network(space, net):
    optimizer = create(
        "h2spg",
        net,
        space,
        lr=0.01,
        target_sparsity=3,
        warmup_steps=2,
        projection_steps=3,
        saliency=ranked(space, G3, G8, G7, G2),
    )
    steps(net, optimizer, 5)
    assert optimizer.selected == (G3, G8, G2)
    named = dict(net.named_parameters())
    zero = {name for name, parameter in named.items() if not parameter.any()}
    assert zero == set(space.group(optimizer.selected).tensors)
    for rows in space.group(optimizer.selected).rows:
        assert not named[rows.tensor].index_select(rows.dim, torch.tensor(rows.rows)).any()


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("base", ["sgd", "adamw"])
def test_exactly_the_group_of_the_space_is_zero_in_random_networks(seed, base):
    space = search_space(random_network(seed))
    net = Parameters(space)
    generator = torch.Generator().manual_seed(seed)
    optimizer = create(
        "h2spg",
        net,
        space,
        base=base,
        lr=0.01,
        target_sparsity=space.max_sparsity,
        warmup_steps=1,
        projection_steps=3,
        saliency="random",
        generator=generator,
    )
    steps(net, optimizer, 4)
    assert len(optimizer.selected) == space.max_sparsity
    assert space.is_valid(optimizer.selected)
    group = space.group(optimizer.selected)
    expected = {name: torch.zeros(p.shape, dtype=torch.bool) for name, p in net.named_parameters()}
    for name in group.tensors:
        expected[name][...] = True
    for rows in group.rows:
        expected[rows.tensor].index_fill_(rows.dim, torch.tensor(rows.rows), True)
    for name, parameter in net.named_parameters():
        assert torch.equal(parameter == 0, expected[name]), name
    assert optimizer.orphaned == space.plan(optimizer.selected).orphaned
    assert optimizer.zeroed_by.keys() == {*optimizer.selected, *optimizer.orphaned}


@pytest.mark.parametrize("seed", range(12))
def test_what_a_structure_takes_with_it_lies_in_the_group_of_any_selection(seed):
    space = search_space(random_network(seed))
    net = Parameters(space)
    binding = SpaceBinding(net, space)
    scores = {s.id: float((s.id * 7 + seed) % 5) for s in space.removable}
    selection = binding.select(scores, space.max_sparsity)
    group = space.group(selection.selected)
    allowed = {(rows.tensor, rows.dim, row) for rows in group.rows for row in rows.rows}
    names = {id(p): name for name, p in net.named_parameters()}
    for member in selection.members.values():
        assert {names[id(t)] for t in member.tensors} <= set(group.tensors)
        for rows in member.rows:
            name = names[id(rows.tensor)]
            assert name in group.tensors or {(name, rows.dim, row) for row in rows.index.tolist()} <= allowed


@pytest.mark.parametrize(("k", "expected"), [(0, 0), (3, 3), (0.0, 0), (0.5, 3), (0.34, 2), (0.66, 3)])
def test_a_float_is_a_share_and_an_int_a_count(k, expected):
    assert count_of(k, 6) == expected


def test_shares_are_not_rounded_down_twice():
    assert count_of(0.29, 100) == 29
    assert count_of(0.9999, 1000) == 999


@pytest.mark.parametrize(
    ("k", "message"),
    [
        (5, "only 4 can go before an output is cut off; choose at most 4"),
        (0.9, "target_sparsity=5"),
        (-1, "from 0 to 4"),
        (1.0, r"from 0\.0 to below 1\.0"),
        (-0.5, r"from 0\.0 to below 1\.0"),
    ],
)
def test_too_large_a_sparsity_is_refused_with_what_can_go(space, net, k, message):
    with pytest.raises(InvalidSparsityError, match=message):
        create("h2spg", net, space, target_sparsity=k, warmup_steps=1, projection_steps=1)


def test_unknown_names_are_answered_with_the_known_ones(space, net):
    with pytest.raises(UnknownNameError, match="no optimizer 'h2sgp'; choose one of h2spg"):
        create("h2sgp", net, space)
    with pytest.raises(UnknownNameError, match="choose one of sgd, adam, adamw"):
        create("h2spg", net, space, base="lion", warmup_steps=1, projection_steps=1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"warmup_steps": 1}, "needs projection_steps"),
        ({"warmup_steps": 1, "projection_steps": 1, "epsilom": 0.1}, "epsilom: not a setting of base 'sgd'"),
        (
            {"warmup_steps": 1, "projection_steps": 1, "lr": -1.0},
            "refuses its settings: Invalid learning",
        ),
    ],
)
def test_settings_that_are_missing_unknown_or_wrong_are_refused(space, net, settings, message):
    with pytest.raises(InvalidSettingError, match=message):
        create("h2spg", net, space, **settings)


def test_the_space_of_another_network_is_refused(space):
    with pytest.raises(InvalidSettingError, match="pass the network from which the space was generated"):
        create("h2spg", nn.Linear(2, 2), space, warmup_steps=1, projection_steps=1)


def test_a_base_may_be_an_optimizer_with_its_own_settings(space, net):
    base = torch.optim.RMSprop(net.parameters(), lr=0.01)
    optimizer = create("h2spg", net, space, base=base, warmup_steps=1, projection_steps=1)
    assert optimizer.inner is base
    with pytest.raises(InvalidSettingError, match="lr: set on the base optimizer"):
        create("h2spg", net, space, base=base, lr=0.1, warmup_steps=1, projection_steps=1)


def test_parameters_may_come_in_groups(space, net):
    groups = [
        {"params": list(net.conv1.parameters()), "lr": 0.5},
        {"params": [p for n, p in net.named_parameters() if not n.startswith("conv1.")]},
    ]
    optimizer = create(
        "h2spg", net, space, parameters=groups, lr=0.1, warmup_steps=1, projection_steps=1, base="adam"
    )
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.1]


def test_the_catalog_offers_what_can_be_created():
    halfspace = [n for n, method in METHODS.items() if method.implementation == "nasviz.optim.create"]
    assert halfspace == list(OPTIMIZERS)  # the other families are created by functions of their own
    assert list(catalog.SALIENCIES) == list(SALIENCIES)
    for name, entry in catalog.SALIENCIES.items():
        assert (entry.family == "step") is isinstance(SALIENCIES[name], Saliency)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_choice_of_the_catalog_can_be_created(space, net, name):
    fields = METHODS[name].fields()
    choices = {field.name: field.choices for field in fields.values() if field.choices}
    assert set(choices["base"]) == set(INNER_OPTIMIZERS)
    steps = {"warmup_steps": 3, "projection_steps": 2}
    steps = {key: value for key, value in steps.items() if key in fields}
    generator = {"generator": torch.Generator()} if "saliency" in fields else {}
    choices |= {"saliency": catalog.step_saliencies()} if "saliency" in fields else {}
    of_runs = {"score_every", "switches", "forced"}  # what builds the optimizer of a run acts on these
    for setting, values in choices.items():
        for value in values:
            chosen = METHODS[name](**steps | {setting: value}).resolved()
            chosen = {key: value for key, value in chosen.items() if key not in of_runs}
            optimizer = create(name, net, space, **chosen, **generator)
            assert type(optimizer) is OPTIMIZERS[name]


def test_settings_that_belong_to_another_optimizer_are_refused(space, net):
    with pytest.raises(InvalidSettingError, match="hspg has no target"):
        create("hspg", net, space, warmup_steps=1, target_sparsity=2)
    with pytest.raises(InvalidSettingError, match="periods=2: must be 1, or for h2spg"):
        create("dhspg", net, space, warmup_steps=1, periods=2)
    with pytest.raises(InvalidSettingError, match="projection: not a setting of base 'sgd'"):
        create("h2spg_otov3", net, space, warmup_steps=1, projection="both")


def test_scores_that_need_passes_of_their_own_are_refused_with_what_to_do(space, net):
    with pytest.raises(InvalidSettingError, match=r"pass saliency=nasviz\.saliency\.score\('zico'"):
        create("h2spg", net, space, warmup_steps=1, projection_steps=1, saliency="zico")


def test_finished_scores_decide_alone(space, net):
    scores = {s.id: 50.0 - s.id for s in space.removable}
    optimizer = create(
        "h2spg", net, space, target_sparsity=2, warmup_steps=2, projection_steps=1, saliency=scores
    )
    steps(net, optimizer, 3)
    assert optimizer.scores == scores
    assert optimizer.selected == space.select(scores, 2) == (G8, G5)
    lost = create("h2spg", net, space, warmup_steps=1, projection_steps=1, saliency={G2: 1.0})
    with pytest.raises(InvalidSettingError, match="lack the structures"):
        steps(net, lost, 1)


def test_several_periods_end_at_exactly_k_and_each_chooses_by_new_scores(space, net):
    # The first portion is g3; had it been all three, figure 3 would have chosen g8 and g2 besides.
    orders = iter([(G3, G8, G7, G2), (G4, G5), (G4, G5)])

    def saliency(reductions):
        return ranked(space, *next(orders))(reductions)

    optimizer = create(
        "h2spg",
        net,
        space,
        lr=1e-3,
        target_sparsity=3,
        periods=3,
        warmup_steps=1,
        projection_steps=7,
        saliency=saliency,
    )
    seen = []
    for _ in range(9):
        steps(net, optimizer, 1)
        seen.append((optimizer.phase, optimizer.selected, len(optimizer.zeroed_by)))
    assert seen == [
        ("projection", (G3,), 0),
        ("projection", (G3,), 0),
        ("projection", (G3,), 1),
        ("projection", (G3, G4), 1),  # scored anew
        ("projection", (G3, G4), 2),
        ("projection", (G3, G4, G5), 2),
        ("projection", (G3, G4, G5), 2),
        ("training", (G3, G4, G5), 3),
        ("training", (G3, G4, G5), 3),
    ]


@pytest.mark.parametrize("seed", range(6))
def test_several_periods_leave_room_for_all_of_k(seed):
    space = search_space(random_network(seed))
    net = Parameters(space)
    optimizer = create(
        "h2spg",
        net,
        space,
        target_sparsity=space.max_sparsity,
        periods=2,
        warmup_steps=1,
        projection_steps=5,
        saliency="random",
        generator=torch.Generator().manual_seed(seed),
    )
    steps(net, optimizer, 6)
    assert len(optimizer.selected) == space.max_sparsity
    assert space.is_valid(optimizer.selected)
    assert optimizer.zeroed_by.keys() == {*optimizer.selected, *optimizer.orphaned}
    assert optimizer.orphaned == space.plan(optimizer.selected).orphaned


def test_without_hierarchy_the_network_may_be_cut_and_nothing_is_raised(space, net):
    optimizer = create(
        "dhspg",
        net,
        space,
        lr=0.01,
        target_sparsity=3,
        warmup_steps=2,
        projection_steps=3,
        saliency=ranked(space, G3, G8, G7, G2),
    )
    assert optimizer.is_valid is None
    steps(net, optimizer, 6)
    assert optimizer.selected == (G3, G8, G7)
    assert optimizer.is_valid is False
    assert optimizer.phase == "training"
    named = dict(net.named_parameters())
    own = {name for i in optimizer.selected for name in space.structure(i).parameter_names}
    assert {name for name, parameter in named.items() if not parameter.any()} == own
    with pytest.raises(InvalidSparsityError, match="cuts something required off"):
        space.plan(optimizer.selected)


@pytest.mark.parametrize("seed", range(4))
def test_where_the_first_k_are_valid_dhspg_selects_as_h2spg(seed):
    space = search_space(random_network(seed))
    binding = SpaceBinding(Parameters(space), space)
    scores = {s.id: float((s.id * 7 + seed) % 5) for s in space.removable}
    for k in range(len(space.removable) + 1):
        plain = binding.select(scores, k, hierarchical=False)
        assert len(plain.selected) == k
        if plain.is_valid:
            hierarchical = binding.select(scores, k)
            assert plain.selected == hierarchical.selected
            assert plain.orphaned == hierarchical.orphaned
            assert len(plain.remainder.tensors) == len(hierarchical.remainder.tensors)


def test_hspg_zeroes_whatever_its_regularization_reaches(space, net):
    optimizer = create("hspg", net, space, base="adam", lr=1e-3, warmup_steps=2, regularization=1e9)
    steps(net, optimizer, 2)
    assert optimizer.selected == ()
    steps(net, optimizer, 1)
    assert set(optimizer.selected) == {s.id for s in space.removable}
    assert optimizer.is_valid is False
    assert optimizer.phase == "training"
    named = dict(net.named_parameters())
    for structure in space.removable:
        assert not any(named[name].any() for name in structure.parameter_names)
        for rows in structure.entailed:
            assert not named[rows.tensor].index_select(rows.dim, torch.tensor(rows.rows)).any()
