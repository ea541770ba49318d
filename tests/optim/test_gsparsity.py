"""GSparsity on networks of every kind: what is weak dies, is pruned and cut, and training goes on exactly."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from functools import lru_cache

import pytest
import torch
from torch.utils import _pytree as pytree

import nasviz
from nasviz.errors import CheckpointError, InvalidSettingError
from nasviz.graph import SearchSpace
from nasviz.optim import GSparsity, ProxSGD, TensorGroup, create_gsparsity
from nasviz.subnet.zero import zero_structures
from nasviz.trace import TracedNetwork
from tests.laws.cases import enliven_
from tests.laws.small_networks import NETWORKS
from tests.switches.networks import EDGES, IMAGES, traced

Made = tuple[TracedNetwork, SearchSpace, torch.Tensor]


def of_the_zoo(name: str, channels: int, size: int, width: float) -> Callable[[], Made]:
    def make() -> Made:
        x = torch.randn(4, channels, size, size)
        model, _ = nasviz.zoo.create(name, width=width)
        enliven_(model)
        net = nasviz.trace(model, x)
        return net, nasviz.search_space(net), x

    return make


def from_outside(name: str) -> Callable[[], Made]:
    def make() -> Made:
        model, x = NETWORKS[name][0](), NETWORKS[name][1]()
        net = nasviz.trace(model, x)
        return net, nasviz.search_space(net), x

    return make


def switched_cells() -> Made:
    net, space = copy.deepcopy(traced())
    return *nasviz.add_switches(net, space, where="switchable", joints=EDGES, initial=0.8), IMAGES


CASES: dict[str, Callable[[], Made]] = {
    "demonet": of_the_zoo("demonet", 1, 8, 0.1),
    "stacked_unets": of_the_zoo("stacked_unets", 3, 16, 0.25),
    "cells with switches": switched_cells,
    "temporal convolutions": from_outside("temporal convolutions"),
    "grouped convolutions": from_outside("grouped convolutions"),
}


@lru_cache
def made(name: str) -> Made:
    torch.manual_seed(0)
    return CASES[name]()


def weakened(name: str) -> tuple[Made, tuple[int, ...]]:
    """A copy of the case in which half of what can go is nearly gone already."""
    net, space, x = made(name)
    net = copy.deepcopy(net)
    rng = random.Random(0)
    weak = space.select({s.id: rng.random() for s in space.removable}, max(1, space.max_sparsity // 2))
    parameters = dict(net.named_parameters())
    for structure in weak:
        names = space.structure(structure).parameter_names
        length = torch.stack([parameters[n].detach().norm() for n in names]).norm()
        for parameter in names:
            parameters[parameter].data.mul_(1e-3 / length)
    return (net, space, x), weak


def train(net: TracedNetwork, optimizer: GSparsity, x: torch.Tensor, steps: int) -> None:
    net.train()
    for _ in range(steps):
        optimizer.zero_grad()
        outputs = [t for t in pytree.tree_leaves(net(x)) if isinstance(t, torch.Tensor)]
        (1e-4 * sum((t - 1).square().mean() for t in outputs)).backward()
        optimizer.step()


def search(net: TracedNetwork, space: SearchSpace, **settings: object) -> GSparsity:
    chosen = {"projection_steps": 30, "lr": 0.5, "mu": 2e-3} | settings
    return create_gsparsity(net, space, **chosen)


@pytest.mark.parametrize("name", CASES)
def test_what_is_weak_is_pruned_and_the_subnetwork_is_what_trained(name: str) -> None:
    (net, space, x), weak = weakened(name)
    optimizer = search(net, space)
    train(net, optimizer, x, 30)
    assert optimizer.phase == "training"
    assert set(optimizer.shorter_than(1e-6)) == set(optimizer.shorter_than(1e-3)) == set(weak)

    before = net.eval()(x)
    optimizer.prune()
    if not any(space.structure(i).entailed for i in weak):  # these rows the penalty does not draw to zero
        torch.testing.assert_close(net(x), before, rtol=1e-3, atol=1e-4)
    train(net, optimizer, x, 3)
    assert sorted(optimizer.selected) == sorted(weak)
    assert set(weak) <= set(zero_structures(net, space))

    sub = nasviz.construct(net, space, inputs=x)
    assert set(weak) <= set(sub.report.selected)
    assert sub.report.max_relative_error < 1e-4
    for mode in (False, True):
        twin = copy.deepcopy(net)
        torch.testing.assert_close(sub.module.train(mode)(x), twin.train(mode)(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["demonet", "cells with switches"])
@pytest.mark.parametrize("pause", [7, 30, 33])
def test_it_resumes_to_the_bit_before_at_and_after_pruning(name: str, pause: int) -> None:
    (net, space, x), _ = weakened(name)
    start = copy.deepcopy(net.state_dict())
    straight = search(net, space)
    train(net, straight, x, 36)
    wanted = copy.deepcopy(net.state_dict())

    net.load_state_dict(start)
    first = search(net, space)
    train(net, first, x, pause)
    saved = copy.deepcopy((net.state_dict(), first.state_dict()))
    twin = copy.deepcopy(net)
    resumed = search(twin, space)
    twin.load_state_dict(saved[0])
    resumed.load_state_dict(saved[1])
    train(twin, resumed, x, 36 - pause)
    assert all(torch.equal(value, wanted[key]) for key, value in twin.state_dict().items())
    assert resumed.selected == straight.selected


def test_tied_operations_live_and_die_together() -> None:
    net, space, _ = made("cells with switches")
    net = copy.deepcopy(net)
    optimizer = search(net, space, cells=["Cell"])
    groups = {optimizer._tied[i] for i in optimizer.structure_ids}
    assert len(optimizer.structure_ids) == 36
    assert len(groups) == 24
    first, last = (space.removable[i] for i in (0, 24))
    assert optimizer._tied[last.id] == optimizer._tied[first.id] == first.id
    parameters = dict(net.named_parameters())
    for name in last.parameter_names:
        parameters[name].data.zero_()
    assert last.id not in optimizer.shorter_than(1e-6)
    for name in first.parameter_names:
        parameters[name].data.zero_()
    assert {first.id, last.id} <= set(optimizer.shorter_than(1e-6))


def test_after_the_search_there_is_no_penalty() -> None:
    (net, space, x), _ = weakened("demonet")
    optimizer = search(net, space)
    train(net, optimizer, x, 30)
    assert optimizer.inner.penalty() > 0
    train(net, optimizer, x, 1)
    assert optimizer.inner.penalty() == 0


def test_pruning_what_cuts_the_network_apart_is_told() -> None:
    (net, space, x), _ = weakened("demonet")
    optimizer = search(net, space, mu=1e3, max_zeros=1.0)
    train(net, optimizer, x, 31)
    assert set(optimizer.selected) == {s.id for s in space.removable}
    assert not optimizer.is_valid


def test_the_state_of_another_network_is_refused() -> None:
    (net, space, _), _ = weakened("demonet")
    other, other_space, _ = made("cells with switches")
    state = search(net, space).state_dict()
    with pytest.raises(CheckpointError, match="this optimizer has"):
        search(copy.deepcopy(other), other_space).load_state_dict(state)


def test_a_network_without_structures_is_refused() -> None:
    net = nasviz.trace(torch.nn.Sequential(torch.nn.Linear(2, 2)), torch.zeros(2, 2))
    with pytest.raises(InvalidSettingError, match="no removal structure"):
        search(net, nasviz.search_space(net))


def test_what_lacks_only_steps_is_pruned_exactly_unless_the_threshold_alone_decides() -> None:
    (net, space, _), weak = weakened("demonet")
    found = {}
    for rule in ("proximal", "threshold"):
        trial = copy.deepcopy(net)
        optimizer = create_gsparsity(
            trial, space, projection_steps=3, lr=1e-3, mu=0.01, pruning=rule, threshold=1e-9
        )
        for _ in range(4):
            for parameter in trial.parameters():
                parameter.grad = torch.zeros_like(parameter)
            optimizer.step()
        found[rule] = optimizer.selected
        parameters = dict(trial.named_parameters())
        names = [n for i in optimizer.selected for n in space.structure(i).parameter_names]
        assert not any(parameters[n].any() for n in names)
    assert set(found["proximal"]) == set(weak)  # 0.999^3 of their length was left, and 1e-9 asked for
    assert found["threshold"] == ()
    with pytest.raises(InvalidSettingError, match="proximal, threshold"):
        create_gsparsity(net, space, projection_steps=3, pruning="all")


def test_only_operations_of_cells_are_penalised_where_cells_are_named() -> None:
    from nasviz.models.nas_bench_201 import NasBench201

    net = nasviz.trace(NasBench201(in_channels=1, channels=2, cells=1), torch.randn(2, 1, 8, 8))
    net, space = nasviz.add_switches(net, nasviz.search_space(net), where="switchable", initial=0.8)
    tied = create_gsparsity(net, space, projection_steps=1, cells=["NasBench201Cell"])
    assert len(tied.inner.grouping) == 24  # 6 edges of 4 operations, in all cells together (GSparsity, G)
    alone = create_gsparsity(net, space, projection_steps=1)
    outside = set(alone.structure_ids) - set(tied.structure_ids)
    assert outside
    assert not any("edges" in space.structure(i).name for i in outside)
    whole = create_gsparsity(net, space, projection_steps=1, cells=["NasBench201Cell"], outside=True)
    assert whole.structure_ids == alone.structure_ids, "as version 0.1 had it"
    assert len(whole.inner.grouping) == 24 + len(outside)
    with pytest.raises(InvalidSettingError, match="lies inside"):
        create_gsparsity(net, space, projection_steps=1, cells=["BatchNorm2d"])


def test_the_penalty_may_lie_on_switches_alone() -> None:
    """GSparsity, appendix E: every operation has a factor, and nothing but factors is under the penalty."""
    net, space = copy.deepcopy(traced())
    with pytest.raises(InvalidSettingError, match="no switches"):
        create_gsparsity(net, space, projection_steps=1, groups="switches")
    net, space = nasviz.add_switches(net, space, where="all", initial=0.8)
    search = create_gsparsity(
        net, space, projection_steps=2, groups="switches", lr=0.5, mu=5.0, max_zeros=1.0
    )
    switches = {s.switch for s in space.removable if s.switch}
    parameters = dict(net.named_parameters())
    assert {id(t) for t in search.inner.grouping.tensors} == {id(parameters[name]) for name in switches}
    assert search.norm_vector().tolist() == pytest.approx([0.8] * len(search.structure_ids))
    weights = [p for name, p in parameters.items() if name not in switches]
    before = [p.detach().clone() for p in weights]
    search.zero_grad()
    for parameter in parameters.values():
        parameter.grad = torch.zeros_like(parameter)
    search.step()
    assert all(torch.equal(p, q) for p, q in zip(weights, before, strict=True))
    assert search.norm_vector().tolist() == pytest.approx([0.4] * len(search.structure_ids))
    assert search.to_prune() == search.structure_ids


def limited(max_zeros: float = 0.5) -> tuple[GSparsity, list[torch.Tensor]]:
    tensors = [torch.tensor([length]) for length in (2.0, 0.3, 3.0, 0.2)]
    groups = {i: TensorGroup((tensor,)) for i, tensor in enumerate(tensors)}
    inner = ProxSGD(tensors, {i: [tensor] for i, tensor in enumerate(tensors)}, lr=0.2, mu=0.5)
    search = GSparsity(
        inner, groups, lambda ids: True, lambda ids: groups[ids[0]], projection_steps=40, max_zeros=max_zeros
    )
    return search, tensors


def idle_steps(search: GSparsity, tensors: list[torch.Tensor], count: int) -> None:
    for _ in range(count):
        for tensor in tensors:
            tensor.grad = torch.zeros_like(tensor)
        search.step()


def test_once_the_largest_share_of_zeros_is_dead_the_penalty_leaves_the_rest_alone() -> None:
    search, tensors = limited()
    idle_steps(search, tensors, 1)  # two groups are shorter than mu at once
    ((kind, text, _),) = search.news().events
    assert (kind, "2 of 4" in text) == ("penalty", True)
    assert not search.news().events
    lengths = [tensor.item() for tensor in tensors]
    other, others = limited()
    other.load_state_dict(search.state_dict())
    for tensor, saved in zip(others, tensors, strict=True):
        tensor.copy_(saved)
    for one, moved in ((search, tensors), (other, others)):
        idle_steps(one, moved, 30)
        assert [moved[i].item() for i in (0, 2)] == [lengths[0], lengths[2]]
        assert all(0 < moved[i].item() < lengths[i] / 100 for i in (1, 3))
        assert one.to_prune() == (1, 3)
    free, moved = limited(max_zeros=1.0)
    idle_steps(free, moved, 39)
    assert free.to_prune() == (0, 1, 2, 3)


def test_mu_follows_from_the_longest_group_and_the_steps() -> None:
    net, space = copy.deepcopy(traced())
    settings = {"projection_steps": 80, "lr": 0.1, "normalisation": "div"}
    search = create_gsparsity(net, space, **settings)
    grouping = search.inner.grouping
    with torch.no_grad():
        scaled = grouping.norm(grouping.tensors) * grouping.sizes.sqrt()
    assert search.mu == pytest.approx(float(scaled.max()) / (1 + 0.1 * 80 / 4))
    assert create_gsparsity(net, space, mu=0.7, **settings).mu == 0.7
    assert create_gsparsity(net, space, adaptive=True, **settings).mu == 0.05


def test_python_settings_and_forms_have_one_set_of_defaults() -> None:
    import inspect

    from nasviz.nas.width_search import create_width
    from nasviz.settings import METHODS

    for function, method in ((create_gsparsity, "gsparsity"), (create_width, "rarts_width")):
        fields = METHODS[method].fields()
        defaults = {n: p.default for n, p in inspect.signature(function).parameters.items() if n in fields}
        own = {
            n: v
            for n, v in defaults.items()
            if v is not inspect.Parameter.empty and n not in ("cells", "emphasis")
        }
        assert own == {name: fields[name].default for name in own}
        assert len(own) >= 8
