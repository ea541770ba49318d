"""The theorems of section 2.3 of the dissertation hold on its solvable model, and only below their bounds."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from nasviz.errors import InvalidSettingError
from nasviz.nas.convergence import convergence, lagrangian, path, quadratic_form, sampled_paths
from nasviz.nas.rarts import RateBounds, Relaxation
from nasviz.nas.toy_problem import auxiliary_loss, limit, primary_loss, trajectory

TEN = Relaxation(10, 10)
CASES = [TEN, Relaxation(100, 10), Relaxation(1, 2), Relaxation(0.6, 1.6)]


@pytest.mark.parametrize(
    ("method", "settings"),
    [("rarts", {"relaxation": TEN}), ("darts", {"lookahead": 0.5}), ("milenas", {"validation_weight": 3.0})],
)
def test_the_affine_map_is_the_iteration(method: str, settings: dict[str, object]) -> None:
    start = (-2.0, 0.5, 2.0)
    points = [p[:3] for p in itertools.islice(trajectory(method, start=start, **settings), 60)]
    assert path(method, 59, start=start, **settings) == pytest.approx(np.array(points), abs=1e-9)


def test_the_quadratic_form_is_that_of_the_example() -> None:
    assert np.linalg.eigvalsh(quadratic_form(TEN)) == pytest.approx([0.33049, 5.88348, 23.78604], abs=1e-5)

    def value(z: torch.Tensor) -> torch.Tensor:
        w, u, alpha = z.unbind()
        spring = TEN.coupling / 2 * (u - w) ** 2
        return primary_loss([u], [alpha]) + TEN.auxiliary_weight * auxiliary_loss([w], [alpha]) + spring

    z = torch.tensor([0.3, -1.0, 2.0], dtype=torch.float64)
    hessian = torch.autograd.functional.hessian(value, z)
    assert hessian.numpy() == pytest.approx(2 * quadratic_form(TEN), abs=1e-12)
    assert lagrangian(z.numpy(), TEN) == pytest.approx(float(value(z)), abs=1e-12)


@pytest.mark.parametrize("relaxation", CASES)
def test_below_the_bounds_the_lagrangian_falls_as_promised(relaxation: Relaxation) -> None:
    constants = convergence(relaxation)
    rate = 0.99 * constants.largest_rate
    points = path("rarts", 5000, rates=RateBounds(rate, rate, rate), start=(-2, 1, 3), relaxation=relaxation)
    gap = lagrangian(points, relaxation) - constants.minimum
    # Theorem 2.2 and (2.20): each step pays for its length.
    moved = np.square(np.diff(points, axis=0)).sum(axis=1)
    assert (constants.c4 * moved <= -np.diff(gap) + 1e-12).all()
    # Lemma 2.5 and Corollary 2.6.
    gradients = 2 * points @ quadratic_form(relaxation) - [0, 0, 2]
    assert (gap <= np.square(gradients).sum(axis=1) / (2 * constants.convexity) + 1e-12).all()
    assert (gap[1:] <= constants.linear_factor(rate) * gap[:-1] + 1e-12).all()
    radius = np.linalg.norm(points - np.array(limit("rarts", relaxation=relaxation)[:3]), axis=1).max()
    assert (gap[1:] <= constants.sublinear_bound(rate, radius, np.arange(1, 5001))).all()


def test_far_above_the_bounds_it_rises() -> None:
    rate = 200 * convergence(TEN).largest_rate
    points = path("rarts", 50, rates=RateBounds(rate, rate, rate), start=(-2, 1, 3), relaxation=TEN)
    assert (np.diff(lagrangian(points, TEN)) > 0).any()


def test_sampling_stops_at_a_floor_below_that_of_corollary_2_8() -> None:
    steps = np.array([0, 10, 100, 4000, 4500, 5000])
    constants = convergence(TEN)
    gap, rate, variance = sampled_paths(TEN, steps, noise=0.05, num_paths=100)
    floor = constants.noise_floor(rate, variance)
    bound = floor + (1 - constants.convexity * rate / 2) ** steps * (gap[0] - floor)
    assert (gap <= bound).all()
    assert gap[-3:].min() > 1e-4  # noise keeps it above the minimum ...
    assert sampled_paths(TEN, steps, noise=0.0, num_paths=1)[0][-1] < 1e-8  # ... which descent reaches


def test_what_is_not_convex_is_refused_with_the_condition() -> None:
    with pytest.raises(InvalidSettingError, match="3/2"):
        convergence(Relaxation(0.4, 1.0))
