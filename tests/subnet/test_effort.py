"""A large network costs fewer numbers to check, never fewer comparisons; zeros never agree with zeros."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import nasviz
from nasviz.graph import SearchSpace, search_space
from nasviz.subnet import parity as parity_cases
from nasviz.trace import TracedNetwork


class Residual(nn.Module):
    """Two branches on images; with `fixed`, a size of the image stands in the graph."""

    def __init__(self, *, fixed: bool = False, silent: bool = False) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)
        self.one, self.two = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)
        self.head = nn.Linear(4, 2)
        self.fixed = fixed
        if silent:
            nn.init.zeros_(self.head.weight)
            nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.stem(x))
        x = x + self.one(x)
        x = x + self.two(x)
        x = x.reshape(-1, 4, 64 * 64).mean(2) if self.fixed else x.mean((2, 3))
        return self.head(x)


def traced(**options: bool) -> tuple[TracedNetwork, SearchSpace]:
    torch.manual_seed(0)
    net = nasviz.trace(Residual(**options), torch.randn(2, 3, 64, 64))
    return net, search_space(net)


def ids(space: SearchSpace) -> dict[str, int]:
    return {s.name: s.id for s in space.removable}


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything counts as much work."""
    monkeypatch.setattr(parity_cases, "LARGE_MACS", 0)


def fed_sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Heights of the images that networks are fed from now on."""
    from nasviz.subnet import parity

    heights: list[int] = []
    run = parity.run

    def watched(program, inputs, *rest, **options):  # type: ignore[no-untyped-def]
        heights.append(inputs[0].shape[2])
        return run(program, inputs, *rest, **options)

    monkeypatch.setattr(parity, "run", watched)
    return heights


@pytest.mark.parametrize("fixed", [False, True])
def test_the_first_check_of_a_large_network_feeds_whole_images(
    large: None, monkeypatch: pytest.MonkeyPatch, fixed: bool
) -> None:
    net, space = traced(fixed=fixed)
    heights = fed_sizes(monkeypatch)
    report = nasviz.construct(net, space, ids(space).values()).report
    assert heights[:2] == [64, 64]
    assert (32 in heights) is True, "smaller images are tried where they may do"
    assert heights[-1] == (64 if fixed else 32)
    assert len(report.checks) == 3
    assert report.max_relative_error < 1e-5


def test_the_effect_of_a_large_network_is_that_of_one_structure(large: None) -> None:
    net, space = traced()
    both = ids(space)
    quick = nasviz.construct(net, space, both.values()).report
    thorough = nasviz.construct(net, space, both.values(), thorough=True).report
    assert quick.effect_of == (both["two"],)
    assert thorough.effect_of == ()
    assert quick.effect != thorough.effect
    net.get_parameter("two.weight").data.mul_(1e-7)
    net.get_parameter("two.bias").data.mul_(1e-7)
    found = nasviz.construct(net, space, both.values()).report
    assert found.effect_of == (), "what does not move the outputs is not taken for an effect"
    assert found.effect > 1e-3


def test_a_network_that_returns_zeros_is_checked_with_weights_in_its_head() -> None:
    net, space = traced(silent=True)
    sub = nasviz.construct(net, space, [ids(space)["one"]])
    assert sub.report.effect > 1e-3
    assert 0 <= sub.report.max_relative_error < 1e-5
    assert not sub.module.head.weight.any(), "what was drawn served the checks alone"
