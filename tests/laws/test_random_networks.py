"""Random networks, random valid sets, double precision: no rule of construction fails in any combination."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from torch import nn

import nasviz
from tests.laws.cases import enliven_
from tests.laws.random_dags import EVERYTHING, KINDS, Dag, Step, dags
from tests.laws.series_parallel import Network, plans

FEW = settings(max_examples=6, derandomize=True, suppress_health_check=list(HealthCheck))
MANY = settings(max_examples=1000, suppress_health_check=list(HealthCheck))


def check(create: Callable[[], nn.Module], seed: int) -> int:
    """Cut a random valid set out of a random network; how many structures were cut."""
    torch.manual_seed(seed)
    model = create().double()
    enliven_(model)
    x = torch.randn(3, 2, 5, 5, dtype=torch.float64)
    net = nasviz.trace(model, x)
    space = nasviz.search_space(net)
    rng = random.Random(seed)
    k = rng.randint(0, space.max_sparsity)
    chosen = space.select({s.id: rng.random() for s in space.removable}, k)

    sub = nasviz.construct(net, space, chosen, inputs=x)

    assert sub.report.max_relative_error <= 1e-10
    again = nasviz.trace(sub.module, x).trace_graph
    assert (again.num_parameters, again.macs) == (sub.report.params_after, sub.report.macs_after)
    module = sub.module.train()
    module(x).square().sum().backward()
    assert all(p.grad is not None for p in module.parameters())
    return k


@FEW
@given(plans(), st.integers(0, 1000))
def test_a_random_subnetwork_equals_its_zeroed_network(plan: Any, seed: int) -> None:
    check(lambda: Network(plan), seed)


def test_a_random_subgraph_equals_its_zeroed_network() -> None:
    cuts = 0
    seen: Counter[str] = Counter()

    @FEW
    @given(dags(), st.integers(0, 1000))
    @example(EVERYTHING, 0)
    def every(steps: tuple[Step, ...], seed: int) -> None:
        nonlocal cuts
        cuts += check(lambda: Dag(steps), seed)
        seen.update({step.kind for step in steps})

    every()
    assert cuts > 9, "little was cut: agreement would say little"
    assert not [kind for kind in KINDS if not seen[kind]], seen


@pytest.mark.slow
@MANY
@given(dags(), st.integers(0, 1000))
def test_many_random_subgraphs_equal_their_zeroed_networks(steps: tuple[Step, ...], seed: int) -> None:
    check(lambda: Dag(steps), seed)


@pytest.mark.slow
@MANY
@given(plans(), st.integers(0, 1000))
def test_many_random_subnetworks_equal_their_zeroed_networks(plan: Any, seed: int) -> None:
    check(lambda: Network(plan), seed)
