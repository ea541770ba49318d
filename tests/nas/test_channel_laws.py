"""Every method on channels, on every network: it ends sparse, its cut is exact, and it goes on bit by bit."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest
import timm
import torch
from timm.models.mlp_mixer import MlpMixer
from torch import nn
from torch.nn import functional
from torchvision.models import VisionTransformer

import nasviz
from nasviz.graph import SearchSpace
from nasviz.nas import WidthSearch, create_width
from nasviz.optim import FilterSparsity, create_gsparsity
from nasviz.trace import TracedNetwork
from tests.nas.networks import NETWORKS as SMALL
from tests.nas.networks import traced as traced_small

SEARCH, TUNE = 4, 3
Method = WidthSearch | FilterSparsity


def transformer() -> nn.Module:
    chosen = {"image_size": 8, "patch_size": 4, "num_layers": 1, "hidden_dim": 8, "mlp_dim": 12}
    model = VisionTransformer(num_heads=2, num_classes=10, **chosen)
    model.conv_proj = nn.Conv2d(1, 8, 4, 4)
    nn.init.normal_(model.heads.head.weight)
    return model


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "demonet": SMALL["demonet"],
    "two cells": SMALL["two cells"],
    "inception": SMALL["inception"],
    "residual": SMALL["residual"],
    "fork": SMALL["fork"],
    "transformer": transformer,
}
SMALLEST = {"img_size": 8, "patch_size": 4, "in_chans": 1, "num_classes": 10, "embed_dim": 16}
OF_TIMM: dict[str, Callable[[], nn.Module]] = {
    "timm's vit": lambda: timm.create_model("vit_tiny_patch16_224", depth=2, num_heads=2, **SMALLEST),
    "timm's deit": lambda: timm.create_model(
        "deit_tiny_distilled_patch16_224", depth=2, num_heads=2, **SMALLEST
    ),
    "timm's mixer": lambda: MlpMixer(num_blocks=2, **SMALLEST),
}
LINEAR = ("residual", "transformer", *OF_TIMM)
"""Networks with dimensions that SiDT can score."""


def filters(net: nn.Module, space: SearchSpace) -> Method:
    chosen = {"groups": "channels", "lr": 0.9, "mu": 0.5}
    return create_gsparsity(net, space, projection_steps=SEARCH, **chosen)


def widths(net: nn.Module, space: SearchSpace) -> Method:
    return create_width(net, space, projection_steps=SEARCH, lr=0.05, momentum=0.9, fraction=0.4)


def dimensions(net: nn.Module, space: SearchSpace) -> Method:
    chosen = {"groups": "dimensions", "fraction": 0.6, "ranking": "layer"}
    return create_width(net, space, projection_steps=SEARCH, base="adamw", lr=1e-3, **chosen)


CASES = {
    **{f"filters, {name}": (filters, name) for name in NETWORKS},
    **{f"widths, {name}": (widths, name) for name in NETWORKS},
    **{f"dimensions, {name}": (dimensions, name) for name in LINEAR},
}


@cache
def traced(name: str) -> tuple[TracedNetwork, SearchSpace]:
    torch.manual_seed(0)
    if name in SMALL:
        return traced_small(name)
    net = nasviz.trace((NETWORKS | OF_TIMM)[name](), torch.randn(2, 1, 8, 8))
    return net, nasviz.search_space(net)


def start(case: str) -> tuple[TracedNetwork, SearchSpace, Method]:
    make, name = CASES[case]
    net, space = traced(name)
    net = copy.deepcopy(net)
    if make is dimensions:
        space = replace(space, heads="dimensions")
    return net, space, make(net, space)


def train(net: nn.Module, method: Method, first: int, last: int) -> None:
    net.train()
    for step in range(first, last):
        generator = torch.Generator().manual_seed(step)
        x, labels = torch.randn(8, 1, 8, 8, generator=generator), torch.arange(8) % 10

        def loss(chosen: slice, x: torch.Tensor = x, labels: torch.Tensor = labels) -> torch.Tensor:
            return functional.cross_entropy(net(x[chosen]), labels[chosen])

        if isinstance(method, FilterSparsity):
            if step == SEARCH:  # so few steps kill nothing: the shorter half goes
                method.threshold = float(method.norm_vector().median())
            method.zero_grad()
            loss(slice(0, 8)).backward()
            method.step()
        elif method.phase == "training":
            method.prune()
            method.tune(loss(slice(0, 8)))
        else:
            method.step(lambda: loss(slice(0, 4)), lambda: loss(slice(4, 8)))


@pytest.mark.parametrize("case", CASES)
def test_a_method_ends_sparse_in_an_exact_network(case: str) -> None:
    net, space, method = start(case)
    train(net, method, 0, SEARCH + TUNE)
    if not method.channels:
        pytest.fail("nothing was pruned: the law says nothing")
    net.eval()
    x = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(9))
    sub = nasviz.construct(net, space, erased=(), channels=method.channels)
    torch.testing.assert_close(sub.module(x), net(x), rtol=1e-4, atol=1e-5)
    assert sub.report.params_after < sub.report.params_before
    switched_off = copy.deepcopy(net)
    nasviz.project_to_zero_(switched_off, space, (), channels=method.channels)
    assert torch.equal(switched_off(x), net(x))


@cache
def searched(case: str) -> tuple[dict[str, torch.Tensor], tuple[int, ...]]:
    """Weights and channels of a search without a pause."""
    net, _, method = start(case)
    train(net, method, 0, SEARCH + TUNE)
    return net.state_dict(), method.channels


@pytest.mark.parametrize("pause", [2, SEARCH, SEARCH + 1])
@pytest.mark.parametrize("case", CASES)
def test_a_saved_search_goes_on_bit_by_bit(case: str, pause: int) -> None:
    first, _, saved = start(case)
    train(first, saved, 0, pause)
    buffer = io.BytesIO()
    torch.save({"network": first.state_dict(), "method": saved.state_dict()}, buffer)
    buffer.seek(0)
    state = torch.load(buffer, weights_only=True)
    again, _, resumed = start(case)
    again.load_state_dict(state["network"])
    resumed.load_state_dict(state["method"])
    train(again, resumed, pause, SEARCH + TUNE)
    wanted, channels = searched(case)
    assert all(torch.equal(value, wanted[key]) for key, value in again.state_dict().items())
    assert resumed.channels == channels
