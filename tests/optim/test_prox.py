"""Proximal maps are what they are defined to be: minimisers, found here by brute force as well."""

from __future__ import annotations

import math

import pytest
import torch

from nasviz.optim.prox import group_factor, group_threshold, soft_threshold, sparse_group_threshold


def draw(seed: int) -> tuple[torch.Tensor, float, float]:
    generator = torch.Generator().manual_seed(seed)
    size = int(torch.randint(1, 8, (), generator=generator))
    x = torch.randn(size, generator=generator, dtype=torch.float64)
    l1, l2 = torch.rand(2, generator=generator).tolist()
    return x, l1, l2


def objective(y: torch.Tensor, x: torch.Tensor, l1: float, l2: float) -> torch.Tensor:
    return l1 * y.abs().sum(-1) + l2 * y.norm(dim=-1) + (y - x).square().sum(-1) / 2


@pytest.mark.parametrize("seed", range(200))
def test_no_point_beats_the_map_of_the_sparse_group_penalty(seed: int) -> None:
    x, l1, l2 = draw(seed)
    found = sparse_group_threshold(x, l1, l2)
    generator = torch.Generator().manual_seed(seed)
    near = found + 0.3 * torch.randn(400, len(x), generator=generator, dtype=torch.float64).mul(
        10 ** (-4 * torch.rand(400, 1, generator=generator, dtype=torch.float64))
    )
    assert objective(near, x, l1, l2).min() >= objective(found, x, l1, l2) - 1e-12
    assert objective(torch.zeros_like(x), x, l1, l2) >= objective(found, x, l1, l2) - 1e-12


@pytest.mark.parametrize("seed", range(20))
def test_at_the_map_the_penalty_balances_the_distance(seed: int) -> None:
    x, l1, l2 = draw(seed)
    for first, second in ((l1, 0.0), (0.0, l2), (l1, l2)):
        mapped = sparse_group_threshold(x, first, second)
        slope = mapped - x + first * mapped.sign()
        if mapped.any():
            slope = slope + second * mapped / mapped.norm()
        # Optimality: zero slope where an entry lives, within the subgradient where it does not.
        assert bool((slope[mapped != 0].abs() < 1e-12).all())
        if mapped.any():
            assert bool(((mapped - x)[mapped == 0].abs() <= first + 1e-12).all())


def test_groups_first_is_not_the_map() -> None:
    x, l1, l2 = torch.tensor([1.0, 0.3, -0.2], dtype=torch.float64), 0.25, 0.4
    wrong = soft_threshold(group_threshold(x, l2), l1)
    right = sparse_group_threshold(x, l1, l2)
    assert objective(wrong, x, l1, l2) > objective(right, x, l1, l2) + 1e-4


def test_the_worked_numbers_of_the_sparse_group_map() -> None:
    eta, strength, alpha = 0.1, 1.0, 0.5
    limit = math.sqrt(3) * eta * strength * (1 - alpha)
    z = torch.tensor([0.5, -0.2, 0.05], dtype=torch.float64)
    soft = soft_threshold(z, eta * strength * alpha)
    torch.testing.assert_close(soft, torch.tensor([0.45, -0.15, 0.0], dtype=torch.float64))
    assert soft.norm().item() == pytest.approx(0.474342, abs=1e-6)
    assert limit == pytest.approx(0.0866025, abs=1e-7)
    expected = [0.367842, -0.122614, 0.0]
    assert sparse_group_threshold(z, 0.05, limit).tolist() == pytest.approx(expected, abs=1e-6)
    small = torch.tensor([0.1, -0.08, 0.05], dtype=torch.float64)
    assert soft_threshold(small, 0.05).norm().item() == pytest.approx(0.058310, abs=1e-6)
    assert sparse_group_threshold(small, 0.05, limit).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("seed", range(50))
def test_the_maps_are_non_expansive(seed: int) -> None:
    x, l1, l2 = draw(seed)
    y = x + torch.randn(len(x), generator=torch.Generator().manual_seed(seed + 1), dtype=torch.float64)
    for first, second in ((l1, 0.0), (0.0, l2), (l1, l2)):
        apart = sparse_group_threshold(x, first, second) - sparse_group_threshold(y, first, second)
        assert apart.norm() <= (x - y).norm() + 1e-12


def test_a_group_is_zero_exactly_up_to_the_threshold() -> None:
    norms = torch.tensor([0.0, 0.999, 1.0, 1.001])
    assert (group_factor(norms, 1.0) == 0).tolist() == [True, True, True, False]
    assert group_factor(norms, 0.0).tolist() == [0.0, 1.0, 1.0, 1.0]
