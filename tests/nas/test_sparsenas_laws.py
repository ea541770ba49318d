"""SparseNAS on every network: it runs, has exact zeros, and what it leaves is what it trained."""

from __future__ import annotations

import copy

import pytest
import torch

from nasviz.nas import construct_derived, create, derived_sparse, with_architecture
from nasviz.switches import fold_switches
from tests.nas.networks import traced
from tests.nas.test_laws import batches, train

NAMES = ("demonet", "two cells", "residual", "inception", "fork")


@pytest.mark.parametrize("name", NAMES)
def test_what_comes_to_zero_goes_and_the_rest_computes_the_same(name: str) -> None:
    net, space = traced(name)
    net, space = with_architecture(copy.deepcopy(net), space, kind="plain")
    assert {switch.index for switch in space.switches} == {None}
    weak = space.switches[-1].parameter
    net.get_parameter(weak).data.fill_(0.02)
    settings = {"penalty_step": 0.05, "balance": 1.0, "adaptive": False, "architecture_lr": 0.1}
    search = create("sparsenas", net, space, lr=1e-4, steps_per_epoch=1, **settings)
    for step in range(60):
        train(net, search, step, step + 1)
        if search.sparsity.zero_paths:
            break
    assert 0 < search.sparsity.zero_paths < search.sparsity.num_paths

    derived = derived_sparse(net, space, search)
    sub = construct_derived(derived)
    x = batches(9)[0][0]
    off = copy.deepcopy(derived.network)
    assert not derived.derivation.spared
    if not any(derived.space.structure(i).entailed for i in derived.erased):
        for mode in (False, True):
            torch.testing.assert_close(sub.module.train(mode)(x), off.train(mode)(x), rtol=1e-4, atol=1e-5)
    folded = fold_switches(derived.network).eval()
    torch.testing.assert_close(folded(x), derived.network.eval()(x), rtol=1e-4, atol=1e-5)
    assert sub.report.params_after < sub.report.params_before
