"""A zero branch that is multiplied on its way to a sum goes, exactly, and what multiplied it with it."""

from __future__ import annotations

import itertools

import pytest
import torch

import nasviz
from tests.laws.gated_networks import NETWORKS, NOT_REMOVABLE


def _traced(make, dtype: torch.dtype = torch.float32):
    torch.manual_seed(0)
    x = torch.randn(3, 5, 8, dtype=dtype)
    net = nasviz.trace(make().to(dtype), x)
    return net, nasviz.search_space(net), x


@pytest.mark.parametrize("name", NETWORKS)
def test_branches_behind_products_go_exactly(name: str) -> None:
    make, count = NETWORKS[name]
    net, space, x = _traced(make)

    branches = [s.id for s in space.removable if s.name.startswith("blocks")]

    assert len(branches) == count
    assert all(space.is_valid([branch]) for branch in branches)
    for k in {1, max(1, space.max_sparsity // 2), space.max_sparsity}:
        chosen = space.select({s.id: float(s.id not in branches) for s in space.removable}, k)
        sub = nasviz.construct(net, space, chosen, inputs=x)
        assert sub.report.max_relative_error <= 1e-5
        assert sub.report.effect > 1e-4
        assert sub.report.params_after == sum(p.numel() for p in sub.module.parameters())


@pytest.mark.parametrize("name", ["excited", "modulated", "normalised", "raw"])
def test_every_valid_set_is_exact_and_the_largest_is_k_max(name: str) -> None:
    net, space, x = _traced(NETWORKS[name][0], torch.float64)
    ids = [s.id for s in space.removable]
    subsets = itertools.chain.from_iterable(itertools.combinations(ids, k) for k in range(1, len(ids) + 1))
    valid = [chosen for chosen in subsets if space.is_valid(chosen)]

    assert max(map(len, valid)) == space.max_sparsity
    for chosen in valid:
        assert nasviz.construct(net, space, chosen, inputs=x).report.max_relative_error <= 1e-12


def test_the_gate_of_a_branch_goes_with_it() -> None:
    net, space, x = _traced(NETWORKS["excited"][0])
    block = next(s for s in space.removable if s.name.startswith("blocks.0"))

    sub = nasviz.construct(net, space, [block.id], inputs=x)

    assert not any("blocks.0." in name for name, _ in sub.module.named_parameters())


@pytest.mark.parametrize("name", NOT_REMOVABLE)
def test_what_cannot_go_exactly_stays(name: str) -> None:
    make, module = NOT_REMOVABLE[name]
    _, space, _ = _traced(make)
    vertex = next(v for v in space.trace if v.module == module)

    assert space.why_not(vertex.id) is not None
    assert all(vertex.id not in s.vertices for s in space.removable)
