"""Every network, random valid sets: the sub-network is the network with its redundant groups at zero."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch.utils import _pytree as pytree

import nasviz
from tests.laws.cases import LARGE, SMALL, Case, case

SHARES = ("one", "half", "all")


def erased(made: Case, share: str, seed: int = 0) -> tuple[int, ...]:
    most = made.space.max_sparsity
    return made.random_set({"one": 1, "half": max(1, most // 2), "all": most}[share], seed)


def check(name: str, size: int, share: str, seed: int, record_property) -> None:
    check_case(case(name, size), share, seed, record_property)


def check_case(made: Case, share: str, seed: int, record_property) -> None:
    chosen = erased(made, share, seed)

    sub = nasviz.construct(made.net, made.space, chosen, inputs=made.x)

    report = sub.report
    record_property("relative_error", report.max_relative_error)
    record_property("effect", report.effect)
    evaluation = [c.relative_error for c in report.checks if c.name.startswith("evaluation")]
    assert max(evaluation) <= 1e-5
    assert report.effect > 1e-4, "the removal changes nothing: agreement would say nothing"
    assert set(chosen) == set(report.selected)
    assert report.params_after < report.params_before
    assert independent_error(made, chosen, sub.module) <= 1e-5

    module = sub.module.train()
    outputs = [t for t in pytree.tree_leaves(module(made.x)) if isinstance(t, torch.Tensor)]
    sum(t.square().mean() for t in outputs).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in module.parameters())
    module.zero_grad(set_to_none=True)


@torch.no_grad()
def independent_error(made: Case, chosen: tuple[int, ...], module: torch.nn.Module) -> float:
    """The user's own module with its groups at zero against the sub-network."""
    zeroed = copy.deepcopy(made.model).eval()
    nasviz.project_to_zero_(zeroed, made.space, chosen)
    wanted = pytree.tree_leaves(zeroed(made.x))
    got = pytree.tree_leaves(module.eval()(made.x))
    return max(float((w - g).abs().max() / w.abs().max()) for w, g in zip(wanted, got, strict=True))


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("name", SMALL)
def test_a_subnetwork_equals_the_zeroed_network(name: str, share: str, record_property) -> None:
    check(name, SMALL[name], share, 0, record_property)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 4))
@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("name", SMALL | LARGE)
def test_many_subnetworks_equal_their_zeroed_networks(
    name: str, share: str, seed: int, record_property
) -> None:
    check(name, (SMALL | LARGE)[name], share, seed, record_property)


@pytest.mark.parametrize("name", ["demonet", "stacked_unets", "squeezenet1_1", "mobilenet_v3_small"])
def test_files_and_exports_hold_the_same_network(name: str, tmp_path: Path) -> None:
    made = case(name, SMALL[name])
    sub = nasviz.construct(made.net, made.space, erased(made, "half"), inputs=made.x)

    loaded = nasviz.load(nasviz.save(sub, tmp_path))
    export = nasviz.export_onnx(sub, tmp_path / "model.onnx")

    assert torch.equal(loaded.eval()(made.x), sub.module.eval()(made.x))
    assert export.max_relative_error < 1e-4


@pytest.mark.parametrize("name", ["demonet", "stacked_unets", "resnet18"])
def test_nothing_erased_changes_nothing(name: str) -> None:
    made = case(name, SMALL[name])
    sub = nasviz.construct(made.net, made.space, ())
    assert sub.report.max_relative_error == sub.report.effect == 0
    assert sub.report.params_after == sub.report.params_before
    assert not sub.report.erased
