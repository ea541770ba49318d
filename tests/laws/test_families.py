"""Networks of every family, random valid sets: the sub-network is the network with its groups at zero.

Every network is traced once, in single precision; sets are cut in single and in double precision. Beside
exactness stand the smaller laws: the form of outputs is kept, constructing twice is a no-op, and a
sub-network is traced and searched again.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

import nasviz
from nasviz.errors import ConstructionError
from nasviz.graph import SearchSpace
from nasviz.subnet import Subnetwork
from tests.families import FAMILIES, build
from tests.families.lively import enliven_
from tests.families.torchvision_networks import CLASSIFIERS
from tests.laws.complex_networks import NETWORKS as COMPLEX
from tests.laws.small_networks import NETWORKS as SMALL

NETWORKS = SMALL | COMPLEX
QUICK_TIMM = (
    "test_byobnet",
    "test_coatnet",
    "test_convnext",
    "test_mambaout",
    "test_nfnet",
    "test_resnet",
    "test_vit",
    "test_vit_relpos",
)
TRANSFORMERS = ("bert", "gpt2", "llama", "vit", "t5", "whisper encoder", "whisper decoder")
NAMES = (
    *NETWORKS,
    *(f"timm/{name}" for name in QUICK_TIMM),
    *(f"transformers/{name}" for name in TRANSFORMERS),
)
DOUBLE = (*NETWORKS, "timm/test_resnet", "timm/test_vit", "transformers/gpt2")
"""Cut in double precision by `make test`; `make slow` does so with all of `NAMES`."""
AGAIN = (
    "volumetric convolutions",
    "grouped convolutions",
    "shuffled channels",
    "recurrent layers",
    "shared modules",
    "windows of channels",
    "cross attention",
    "nested inputs and outputs",
    "timm/test_resnet",
    "transformers/gpt2",
)
"""Traced again after the cut by `make test`; `make slow` does so with all of `NAMES`."""
QUICK_ONNX = (
    "volumetric convolutions",
    "grouped convolutions",
    "shared modules",
    "windows of channels",
)
NOT_IN_ONNX = ("complex spectrum",)
"""torch.onnx has no word for what they compute."""
NOTHING_TO_REMOVE = (
    "alexnet",
    "vgg11",
    "vgg11_bn",
    "vgg13",
    "vgg13_bn",
    "vgg16",
    "vgg16_bn",
    "vgg19",
    "vgg19_bn",
)
"""Chains without a joint."""
SLOW_NAMES = tuple(f"timm/{name}" for name in FAMILIES["timm"].names)


class Case(NamedTuple):
    """A traced network with its search space."""

    name: str
    model: nn.Module
    net: nn.Module
    space: SearchSpace
    inputs: Any

    def sets(self, seed: int = 0) -> Iterator[tuple[int, ...]]:
        """Random valid sets of one, half of all, and all structures that may go together."""
        most = self.space.max_sparsity
        for k in sorted({1, max(1, most // 2), most}):
            rng = random.Random(seed + k)
            yield self.space.select({s.id: rng.random() for s in self.space.removable}, k)


@lru_cache(maxsize=1)  # the tests of one network stand together
def case(name: str) -> Case:
    family, _, short = name.rpartition("/")
    if family:
        model, inputs = build(family, short)
    else:
        torch.manual_seed(0)
        create, feed = NETWORKS[name]
        model, inputs = create(), feed()
        enliven_(model)
    net = nasviz.trace(model, inputs)
    return Case(name, model, net, nasviz.search_space(net), inputs)


def call(network: nn.Module, inputs: Any) -> Any:
    if isinstance(inputs, dict):
        return network(**inputs)
    return network(*inputs) if isinstance(inputs, tuple) else network(inputs)


def doubled(value: Any) -> Any:
    return pytree.tree_map_only(Tensor, lambda t: t.double() if t.is_floating_point() else t, value)


def worst(sub: Subnetwork, mode: str) -> float:
    return max(c.relative_error for c in sub.report.checks if c.name.startswith(mode))


@pytest.mark.parametrize("name", NAMES, scope="module")
def test_single_precision(name: str) -> None:
    made, effects = case(name), []
    assert made.net.parity.strategy == "export, training mode, any batch size"
    assert made.net.parity.worst < 1e-5
    assert made.space.max_sparsity > 0
    for chosen in made.sets():
        sub = nasviz.construct(made.net, made.space, chosen, inputs=made.inputs)
        assert worst(sub, "evaluation") <= 1e-5
        assert set(sub.report.selected) == set(chosen)
        assert sub.report.params_after < sub.report.params_before
        assert from_outside(made, chosen, sub.module) <= 1e-5
        effects.append(sub.report.effect)
    assert max(effects) > 1e-4, "the removals change nothing: agreement would say nothing"


@torch.no_grad()
def from_outside(made: Case, chosen: tuple[int, ...], module: nn.Module) -> float:
    """The user's own module with its groups at zero against the sub-network, whose output has its form."""
    zeroed = copy.deepcopy(made.model).eval()
    nasviz.project_to_zero_(zeroed, made.space, chosen)
    wanted, its_form = pytree.tree_flatten(call(zeroed, made.inputs))
    got, my_form = pytree.tree_flatten(call(module.eval(), made.inputs))
    assert my_form == its_form
    pairs = [(w, g) for w, g in zip(wanted, got, strict=True) if isinstance(w, Tensor)]
    return max(float((w - g).abs().max() / w.abs().max()) for w, g in pairs)


def only(quick: tuple[str, ...]) -> list[Any]:
    """Return all names; those that are not in `quick` are slow."""
    return [name if name in quick else pytest.param(name, marks=pytest.mark.slow) for name in NAMES]


@pytest.mark.parametrize("name", only(DOUBLE), scope="module")
def test_double_precision(name: str) -> None:
    made = case(name)
    net, inputs = copy.deepcopy(made.net).double(), doubled(made.inputs)
    for chosen in made.sets(seed=1):
        sub = nasviz.construct(net, made.space, chosen, inputs=inputs)
        assert worst(sub, "evaluation") <= 1e-10
        assert worst(sub, "training") <= 1e-10


@pytest.mark.parametrize("name", only(AGAIN), scope="module")
def test_a_subnetwork_is_a_network(name: str) -> None:
    made = case(name)
    half = [*made.sets()][-2:][0]
    sub = nasviz.construct(made.net, made.space, half, inputs=made.inputs)

    again = nasviz.trace(sub.module, made.inputs)
    space = nasviz.search_space(again)
    twice = nasviz.construct(again, space, (), inputs=made.inputs)

    assert again.parity.worst < 1e-5
    assert twice.report.params_after == sub.report.params_after
    assert twice.report.max_relative_error == twice.report.effect == 0
    if most := space.max_sparsity:
        rest = space.select({s.id: float(s.num_parameters) for s in space.removable}, most)
        smaller = nasviz.construct(again, space, rest, inputs=made.inputs)
        assert worst(smaller, "evaluation") <= 1e-5
        assert smaller.report.params_after < sub.report.params_after

    sub.module.train()
    outputs = [t for t in pytree.tree_leaves(call(sub.module, made.inputs)) if isinstance(t, Tensor)]
    sum(t.float().square().mean() for t in outputs if t.is_floating_point()).backward()
    trained = [p.grad for p in sub.module.parameters() if p.grad is not None]
    assert trained
    assert all(gradient.isfinite().all() for gradient in trained)


@pytest.mark.parametrize(
    "name", ["volumetric convolutions", "grouped convolutions", "windows of channels"], scope="module"
)
def test_a_shifted_column_breaks_the_law(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = case(name)
    chosen = next(c for c in made.sets() if made.space.plan(c).slices)
    plan = made.space.plan(chosen)
    shifted = []
    for piece in plan.slices:
        length = dict(made.net.named_parameters())[piece.tensor].shape[piece.dim] if piece.dim == 1 else 0
        rows = tuple((row + 1) % length for row in piece.rows) if length else piece.rows
        shifted.append(replace(piece, rows=rows))
    monkeypatch.setattr(SearchSpace, "plan", lambda *_: replace(plan, slices=tuple(shifted)))
    with pytest.raises(ConstructionError, match="differs from the network"):
        nasviz.construct(made.net, made.space, chosen, inputs=made.inputs)


@pytest.mark.parametrize(
    "name", ["volumetric convolutions", "grouped convolutions", "windows of channels"], scope="module"
)
def test_forgotten_rows_of_a_norm_break_the_law(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = case(name)
    chosen = next(c for c in made.sets() if made.space.group(c).rows)
    group = made.space.group(chosen)
    kept = tuple(row for row in group.rows if made.space.trace[row.vertex].operator != "batch_norm")
    assert kept != group.rows
    monkeypatch.setattr(SearchSpace, "group", lambda *_: replace(group, rows=kept))
    with pytest.raises(ConstructionError, match="differs from the network"):
        nasviz.construct(made.net, made.space, chosen, inputs=made.inputs)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", [*NAMES, *SLOW_NAMES], scope="module")
def test_many_subnetworks(name: str, seed: int) -> None:
    check_sets(case(name), seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", CLASSIFIERS, scope="module")
def test_every_classifier_of_torchvision(name: str, seed: int) -> None:
    made = case(f"torchvision/{name}")
    assert made.space.max_sparsity > 0 or name in NOTHING_TO_REMOVE
    check_sets(made, seed)


def check_sets(made: Case, seed: int) -> None:
    """One structure, half, and all that may go: exact in both precisions and modes, and not for nothing."""
    fine, inputs = copy.deepcopy(made.net).double(), doubled(made.inputs)
    effects = []
    for chosen in made.sets(seed) if made.space.max_sparsity else ():
        sub = nasviz.construct(made.net, made.space, chosen, inputs=made.inputs)
        assert worst(sub, "evaluation") <= 1e-5
        assert from_outside(made, chosen, sub.module) <= 1e-5
        effects.append(sub.report.effect)
        sub = nasviz.construct(fine, made.space, chosen, inputs=inputs)
        assert worst(sub, "evaluation") <= 1e-10
        assert worst(sub, "training") <= 1e-10
    assert not effects or max(effects) > 1e-4


def check_onnx(name: str, path: Path) -> None:
    """The exported sub-network computes in onnxruntime what it computes in torch, for two batch sizes."""
    made = case(name)
    half = [*made.sets()][-2:][0]
    sub = nasviz.construct(made.net, made.space, half, inputs=made.inputs)
    assert nasviz.export_onnx(sub, path / "model.onnx", inputs=made.inputs).max_relative_error < 1e-4


@pytest.mark.parametrize("name", QUICK_ONNX, scope="module")
def test_onnx_agrees(name: str, tmp_path: Path) -> None:
    check_onnx(name, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in NAMES if n not in (*QUICK_ONNX, *NOT_IN_ONNX)], scope="module")
def test_onnx_agrees_everywhere(name: str, tmp_path: Path) -> None:
    check_onnx(name, tmp_path)
