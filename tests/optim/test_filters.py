"""Rows of tensors as groups of ProxSGD; how many filters survive falls with mu, on small networks."""

from __future__ import annotations

import copy
from functools import cache

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import nasviz
from nasviz.errors import InvalidSettingError
from nasviz.optim import ProxSGD, Slices, create_gsparsity
from nasviz.optim.prox import RowGrouping
from nasviz.saliency.reductions import RowIndex
from nasviz.trace import TracedNetwork


def small_network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Conv2d(6, 5, 3, padding=1, stride=2),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(5, 3),
    )


def problem() -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    labels = torch.arange(24) % 3
    images = torch.randn(24, 1, 6, 6)
    images[:, 0, 2:4, 2:4] += labels.float().view(-1, 1, 1) * 2
    return images, labels


@cache
def traced() -> TracedNetwork:
    return nasviz.trace(small_network(), problem()[0])


def survivors(mu: float, **settings: object) -> int:
    net = copy.deepcopy(traced())
    settings |= {"projection_steps": 60, "lr": 0.5, "mu": mu, "groups": "filters", "max_zeros": 1.0}
    optimizer = create_gsparsity(net, nasviz.search_space(net), **settings)
    images, labels = problem()
    for _ in range(60):
        optimizer.zero_grad()
        functional.cross_entropy(net(images), labels).backward()
        optimizer.step()
    optimizer.prune()
    return len(optimizer.unit_ids) - len(optimizer.channels)


def test_one_tensor_alone_moves_as_with_slices() -> None:
    torch.manual_seed(0)
    pairs = [(torch.randn(4, 3, 2, 2), torch.randn(4, 3, 2, 2)) for _ in range(2)]
    moved = []
    for kind in ("rows", "slices"):
        tensors = [w.clone().requires_grad_() for w, _ in pairs]
        rows = [(w, 0, range(4 * n, 4 * n + 4)) for n, w in enumerate(tensors)]
        chosen = {"lr": 0.5, "mu": 0.8, "normalisation": "div", "tau": None}
        if kind == "rows":
            index = RowIndex(range(8), rows)
            optimizer = ProxSGD(tensors, RowGrouping(index, index.ids), **chosen)
        else:
            assert isinstance(Slices(tensors[0]), Slices)
            optimizer = ProxSGD(tensors, filters=tensors, **chosen)
        for _ in range(5):
            for tensor, (_, grad) in zip(tensors, pairs, strict=True):
                tensor.grad = grad.clone()
            optimizer.step()
        moved.append(tensors)
    for ours, theirs in zip(*moved, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-7)


def test_rows_of_no_group_follow_the_gradient_alone() -> None:
    weight = torch.tensor([[3.0, 4.0], [1.0, 0.0]], requires_grad=True)
    grouping = RowGrouping(RowIndex((7,), [(weight, 0, [7, -1])]), {7})
    optimizer = ProxSGD([weight], grouping, lr=1.0, rho=1.0, mu=2.0)
    weight.grad = torch.tensor([[0.0, 0.0], [0.5, 0.5]])
    optimizer.step()
    torch.testing.assert_close(weight.detach(), torch.tensor([[1.8, 2.4], [0.5, -0.5]]))


def test_a_tensor_without_gradient_stays_and_does_not_count() -> None:
    weight, bias = torch.tensor([[3.0], [4.0]], requires_grad=True), torch.tensor([9.0, 9.0])
    grouping = RowGrouping(RowIndex((0, 1), [(weight, 0, [0, 1]), (bias, 0, [0, 1])]), (0, 1))
    optimizer = ProxSGD([weight, bias], grouping, lr=1.0, rho=1.0, mu=1.0)
    weight.grad = torch.zeros(2, 1)
    optimizer.step()
    assert weight.flatten().tolist() == [2.0, 3.0]
    assert bias.tolist() == [9.0, 9.0]


@pytest.mark.parametrize("settings", [{}, {"normalisation": "div"}], ids=["plain", "divided"])
def test_survivors_never_rise_with_mu(settings: dict[str, object]) -> None:
    counts = [survivors(mu, **settings) for mu in (0.0, 0.01, 0.05, 0.2, 1.0, 5.0)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] == 11
    # Every operator keeps a channel.
    assert counts[-1] == 2


def test_pruned_filters_are_cut_exactly() -> None:
    net = copy.deepcopy(traced())
    space = nasviz.search_space(net)
    optimizer = create_gsparsity(
        net, space, projection_steps=60, lr=0.5, mu=0.05, groups="filters", pruning="threshold"
    )
    images, labels = problem()
    for _ in range(60):
        optimizer.zero_grad()
        functional.cross_entropy(net(images), labels).backward()
        optimizer.step()
    net.eval()
    before = net(images)
    optimizer.prune()
    torch.testing.assert_close(net(images), before, rtol=0, atol=1e-5)
    assert 0 < len(optimizer.channels) < 11
    sub = nasviz.construct(net, space, erased=(), channels=optimizer.channels)
    torch.testing.assert_close(sub.module(images), net(images), rtol=0, atol=1e-6)
    assert sub.report.params_after < sub.report.params_before


def test_filters_leave_alone_what_a_residual_sum_ties() -> None:
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv2d(1, 4, 3, padding=1)
            self.conv1 = nn.Conv2d(4, 6, 3, padding=1)
            self.conv2 = nn.Conv2d(6, 4, 3, padding=1)
            self.head = nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            x = self.stem(x)
            x = x + self.conv2(self.conv1(x).relu())
            return self.head(x.mean((2, 3)))

    net = nasviz.trace(Residual(), problem()[0])
    space = nasviz.search_space(net)

    def units(groups: str) -> int:
        return len(create_gsparsity(net, space, projection_steps=1, groups=groups).unit_ids)

    assert (units("filters"), units("channels")) == (6, 10)
    with pytest.raises(InvalidSettingError, match="only operations are tied"):
        create_gsparsity(net, space, projection_steps=1, groups="filters", cells=["Residual"])
