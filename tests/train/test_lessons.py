"""The sums behind Learn say what the documents' worked numbers say."""

from __future__ import annotations

import pytest
import torch

from nasviz.optim import HAPG
from nasviz.train.lessons import (
    batch_norm_lesson,
    decay_lesson,
    halfspace_lesson,
    prox_lesson,
    relaxation_lesson,
    sparse_group_penalty,
    unit_balls_lesson,
)


def test_a_scaled_convolution_leaves_the_output_and_divides_the_gradient() -> None:
    plain, small, large = batch_norm_lesson([1.0, 0.1, 10.0])["rows"]
    assert max(small["change"], large["change"]) < 1e-9
    assert small["gradient"] == pytest.approx(10 * plain["gradient"], rel=1e-6)
    assert large["gradient"] == pytest.approx(plain["gradient"] / 10, rel=1e-6)
    assert max(abs(row["cosine"]) for row in (plain, small, large)) < 1e-9


@pytest.mark.parametrize(
    ("lr", "epsilon", "projected"),
    [(0.1, 0.0, [2.8, 3.4]), (1.0, 0.0, [0.0, 0.0]), (0.5, 0.5, [0.0, 0.0])],
)
def test_a_step_stays_or_becomes_zero(lr: float, epsilon: float, projected: list[float]) -> None:
    found = halfspace_lesson([3.0, 4.0], [2.0, 6.0], lr, epsilon)
    assert found["projected"] == pytest.approx(projected)


def test_only_the_mixture_removes_single_weights_and_groups() -> None:
    found = prox_lesson([1.6, 0.7], 0.8, 0.5, side=41)
    assert found["lasso"]["to"] == pytest.approx([0.8, 0.0])
    counts = {name: {n for row in found[name]["zeros"] for n in row} for name in list(found)[:3]}
    assert counts["sparse group lasso"] == {0, 1, 2}
    # Off the axes, where a coordinate is zero to begin with, the group lasso removes both or none.
    quarter = [n for row in found["group lasso"]["zeros"][:20] for n in row[:20]]
    assert set(quarter) == {0, 2}


def test_paths_come_near_their_limits() -> None:
    found = relaxation_lesson("rarts", 10.0, 10.0, 0.0, 2000)
    assert found["limit"] == pytest.approx([1.027027, 0.918919, 1.081081], abs=1e-6)
    assert found["path"][-1] == pytest.approx(found["limit"], abs=1e-3)
    assert len(found["path"]) <= 402


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_the_penalty_of_the_unit_balls_is_that_of_the_optimizer(alpha: float) -> None:
    pair = torch.tensor([0.3, -1.2], dtype=torch.float64, requires_grad=True)
    alone = torch.tensor([0.7], dtype=torch.float64, requires_grad=True)
    optimizer = HAPG([pair, alone], {0: [pair], 1: [alone]}, strength=1.0, alpha=alpha)
    point = torch.cat([pair, alone]).detach()
    assert float(optimizer.penalty()) == pytest.approx(float(sparse_group_penalty(point, alpha)))


def test_every_point_of_a_unit_ball_costs_one() -> None:
    for share, (name, ball) in zip((1.0, 0.0, 0.4), unit_balls_lesson(0.4, side=9).items(), strict=True):
        surface = torch.tensor([ball["x"], ball["y"], ball["z"]], dtype=torch.float64)
        cost = sparse_group_penalty(surface, share)
        assert torch.allclose(cost, torch.ones_like(cost), atol=5e-3), name


def test_a_group_rests_at_its_length_less_mu_or_falls_by_one_minus_epsilon() -> None:
    lengths = decay_lesson(mu=0.6, lr=0.05, rho=1.0, num_steps=1000)["lengths"]
    dead, _, rests, _ = lengths
    assert rests["path"][-1] == pytest.approx(1.0 - 0.6, abs=1e-6)
    assert dead["path"][-1] < 1e-12
    assert dead["path"][-1] / dead["path"][-2] == pytest.approx(0.95)
