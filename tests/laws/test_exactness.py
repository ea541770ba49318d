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
COUNTS = {"resnet18": 11, "mobilenet_v3_small": 6}
"""How many removal structures networks have, found by another implementation first."""
MORE_COUNTS = {
    "densenet121": 58,
    "googlenet": 36,
    "regnet_y_800mf": 18,
    "swin_t": 24,
    "convnext_tiny": 18,
    "vit_b_16": 24,
}
"""The same for `make slow`: their operators are in the quick table of test_families.py too."""


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


@pytest.mark.parametrize("name", SMALL, scope="module")
def test_the_trace_is_exact(name: str) -> None:
    made = case(name, SMALL[name])
    assert made.net.parity.warnings == ()
    assert set(made.net.parity.max_relative_error) >= {"eval", "batch", "train"}
    assert made.net.parity.worst < 1e-5
    assert list(made.net.state_dict()) == list(made.model.state_dict())
    assert made.net.trace_graph.num_parameters == sum(p.numel() for p in made.model.parameters())


@pytest.mark.parametrize("name", COUNTS, scope="module")
def test_networks_have_their_known_number_of_structures(name: str) -> None:
    assert len(case(name, SMALL[name]).space.removable) == COUNTS[name]


@pytest.mark.slow
@pytest.mark.parametrize("name", MORE_COUNTS, scope="module")
def test_more_networks_have_their_known_number_of_structures(name: str) -> None:
    assert len(case(name, LARGE[name]).space.removable) == MORE_COUNTS[name]


@pytest.mark.slow  # test_zoo.py counts the structures of the same network built by the zoo
def test_regnet_x_has_its_published_numbers() -> None:
    from torchvision.models import regnet_x_800mf

    network = nasviz.trace(regnet_x_800mf(num_classes=10), torch.randn(2, 3, 32, 32))
    space = nasviz.search_space(network)
    assert (len(space.removable), space.max_sparsity) == (20, 16)


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("name", SMALL, scope="module")
def test_a_subnetwork_equals_the_zeroed_network(name: str, share: str, record_property) -> None:
    check(name, SMALL[name], share, 0, record_property)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 4))
@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("name", SMALL | LARGE, scope="module")
def test_many_subnetworks_equal_their_zeroed_networks(
    name: str, share: str, seed: int, record_property
) -> None:
    check(name, (SMALL | LARGE)[name], share, seed, record_property)


@pytest.mark.parametrize(
    "name",
    [
        "stacked_unets",
        "squeezenet1_1",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("demonet", "mobilenet_v3_small")),
    ],
    scope="module",
)
def test_files_and_exports_hold_the_same_network(name: str, tmp_path: Path) -> None:
    made = case(name, SMALL[name])
    sub = nasviz.construct(made.net, made.space, erased(made, "half"), inputs=made.x)

    loaded = nasviz.load(nasviz.save(sub, tmp_path))
    export = nasviz.export_onnx(sub, tmp_path / "model.onnx")

    assert torch.equal(loaded.eval()(made.x), sub.module.eval()(made.x))
    assert export.max_relative_error < 1e-4


@pytest.mark.parametrize("name", ["demonet", "stacked_unets", "resnet18"], scope="module")
def test_nothing_erased_changes_nothing(name: str) -> None:
    made = case(name, SMALL[name])
    sub = nasviz.construct(made.net, made.space, ())
    assert sub.report.max_relative_error == sub.report.effect == 0
    assert sub.report.params_after == sub.report.params_before
    assert not sub.report.erased
