"""HAPG and AdamHAPG do the arithmetic of their paper, reach the minimum, and come back from their state."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor

from nasviz.errors import InvalidSettingError
from nasviz.optim import HAPG, AdamHAPG
from nasviz.optim.hapg import inertia, pathwise
from nasviz.optim.prox import Slices, sparse_group_threshold

DOUBLE = torch.float64
GOAL = torch.tensor([1.0, 0.2], dtype=DOUBLE)


def trace(optimizer: HAPG, a: Tensor, steps: int) -> list[tuple[list[float], list[float]]]:
    found = []
    for _ in range(steps):
        a.grad = a.detach() - GOAL
        optimizer.step()
        found.append((optimizer.proximal_point()[0].tolist(), a.tolist()))
    return found


def test_the_worked_trace() -> None:
    a = torch.zeros(2, dtype=DOUBLE, requires_grad=True)
    seen = trace(HAPG([a], {0: [a]}, lr=0.5, strength=0.4, alpha=0.5), a, 4)
    wanted = [
        ((0.258579, 0), (0.129289, 0)),
        ((0.323223, 0), (0.323223, 0)),
        ((0.420190, 0), (0.444432, 0)),
        ((0.480795, 0), (0.505036, 0)),
    ]
    for (point, value), (wanted_point, wanted_value) in zip(seen, wanted, strict=True):
        assert point == pytest.approx(wanted_point, abs=5e-7)
        assert value == pytest.approx(wanted_value, abs=5e-7)


@pytest.mark.parametrize("kind", [HAPG, AdamHAPG])
def test_it_is_the_two_line_form_of_fista(kind: type[HAPG]) -> None:
    """v_t = P_t - P_{t-1}, so A_t = P_t + u_t (P_t - P_{t-1}), with P_0 = A_0."""
    a = torch.tensor([0.7, -0.4], dtype=DOUBLE, requires_grad=True)
    optimizer = kind([a], {0: [a]}, lr=0.1, strength=0.3)
    before = a.tolist()
    for t, (point, value) in enumerate(trace(optimizer, a, 9), start=1):
        expected = [p + inertia(t) * (p - b) for p, b in zip(point, before, strict=True)]
        assert value == pytest.approx(expected, abs=1e-15)
        before = point


def test_the_momentum_starts_damped() -> None:
    assert [inertia(t) for t in (1, 2, 3, 4, 5)] == [-0.5, 0.0, 0.25, 0.4, 0.5]


def test_it_ends_at_the_minimum_with_exact_zeros() -> None:
    """f = ||A - goal||^2 / 2 plus the penalty has its minimum at the map of the goal."""
    a = torch.zeros(2, dtype=DOUBLE, requires_grad=True)
    optimizer = HAPG([a], {0: [a]}, lr=0.5, strength=0.4, alpha=0.5)
    trace(optimizer, a, 400)
    optimizer.settle_()
    expected = sparse_group_threshold(GOAL, 0.2, math.sqrt(2) * 0.2)
    torch.testing.assert_close(a.detach(), expected, rtol=1e-10, atol=1e-12)
    assert a.tolist()[1] == 0.0


@pytest.mark.parametrize(("alpha", "map_"), [(1.0, (0.4, 0.0)), (0.0, (0.0, math.sqrt(2) * 0.4))])
def test_at_its_ends_it_is_the_lasso_and_the_group_lasso(alpha: float, map_: tuple[float, float]) -> None:
    a = torch.zeros(2, dtype=DOUBLE, requires_grad=True)
    optimizer = HAPG([a], {0: [a]}, lr=0.5, strength=0.4, alpha=alpha)
    trace(optimizer, a, 400)
    torch.testing.assert_close(
        optimizer.proximal_point()[0], sparse_group_threshold(GOAL, *map_), rtol=1e-8, atol=1e-10
    )


def test_the_zeros_are_in_the_proximal_point() -> None:
    a = torch.tensor([0.3], dtype=DOUBLE, requires_grad=True)
    optimizer = HAPG([a], {0: [a]}, lr=0.1, strength=1.0)
    for _ in range(6):
        a.grad = torch.zeros(1, dtype=DOUBLE)
        optimizer.step()
        if not optimizer.proximal_point()[0].any():
            break
    assert optimizer.proximal_point()[0].item() == 0
    assert a.item() != 0
    optimizer.settle_()
    assert a.item() == 0


def test_adam_steps_have_their_own_thresholds_and_a_group_the_median() -> None:
    a = torch.tensor([0.5, 0.4, -0.3, 0.2], dtype=DOUBLE, requires_grad=True)
    grad = torch.tensor([0.1, 2.0, -0.5, 0.05], dtype=DOUBLE)
    optimizer = AdamHAPG([a], {0: [a]}, lr=0.01, strength=0.5, alpha=0.4, betas=(0.5, 0.999))
    start = a.detach().clone()
    a.grad = grad.clone()
    optimizer.step()
    rates = 0.01 / (grad.abs() + 1e-8)  # bias-corrected moments of one gradient are the gradient's
    z = start - rates * grad
    soft = z.sign() * (z.abs() - rates * 0.5 * 0.4).clamp_min(0)
    limit = math.sqrt(4) * sorted(rates.tolist())[1] * 0.5 * 0.6
    expected = soft * max(0.0, 1 - limit / soft.norm().item())
    torch.testing.assert_close(optimizer.proximal_point()[0], expected, rtol=1e-9, atol=1e-12)


def test_slices_and_scalars_of_a_group_are_treated_alike() -> None:
    generator = torch.Generator().manual_seed(0)
    whole = torch.randn(3, 4, generator=generator, dtype=DOUBLE)
    grads = [torch.randn(3, 4, generator=generator, dtype=DOUBLE) for _ in range(4)]
    for kind in (HAPG, AdamHAPG):
        matrix = whole.clone().requires_grad_()
        scalars = [[whole[i, j].clone().requires_grad_() for i in range(3)] for j in range(4)]
        one = kind([matrix], slices=[Slices(matrix, 1)], lr=0.05, strength=0.7, alpha=0.3)
        flat = [s for column in scalars for s in column]
        other = kind(flat, dict(enumerate(scalars)), lr=0.05, strength=0.7, alpha=0.3)
        assert one.penalty().item() == pytest.approx(other.penalty().item())
        for grad in grads:
            matrix.grad = grad.clone()
            for j in range(4):
                for i in range(3):
                    scalars[j][i].grad = grad[i, j].clone()
            one.step()
            other.step()
        columns = torch.stack([torch.stack([s.detach() for s in column]) for column in scalars], 1)
        torch.testing.assert_close(matrix.detach(), columns, rtol=1e-12, atol=1e-14)


def test_what_is_in_no_group_is_not_penalised() -> None:
    a, bias = (torch.ones(2, dtype=DOUBLE, requires_grad=True) for _ in range(2))
    optimizer = HAPG([a, bias], {0: [a]}, lr=0.1, strength=100.0)
    for _ in range(3):
        a.grad, bias.grad = torch.zeros(2, dtype=DOUBLE), torch.zeros(2, dtype=DOUBLE)
        optimizer.step()
    assert optimizer.proximal_point()[0].tolist() == [0.0, 0.0]
    assert bias.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("kind", [HAPG, AdamHAPG])
def test_the_state_comes_back_to_the_bit(kind: type[HAPG]) -> None:
    def make() -> tuple[Tensor, HAPG]:
        a = torch.tensor([0.9, -0.5], dtype=DOUBLE, requires_grad=True)
        return a, kind([a], {0: [a]}, lr=0.05, strength=0.1)

    straight, optimizer = make()
    trace(optimizer, straight, 8)
    a, optimizer = make()
    trace(optimizer, a, 3)
    resumed, fresh = make()
    resumed.data.copy_(a.data)
    fresh.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    trace(fresh, resumed, 5)
    assert torch.equal(resumed, straight)


def test_lambda_rises_evenly_and_may_be_capped() -> None:
    assert [pathwise(epoch, 0.02) for epoch in range(3)] == [0.0, 0.02, 0.04]
    assert pathwise(100, 0.01, cap=0.25) == 0.25


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"lr": 0.0}, "lr=0.0"), ({"alpha": 1.5}, "from 0, group lasso"), ({"strength": -1.0}, "strength=-1.0")],
)
def test_settings_out_of_range_are_refused(settings: dict, words: str) -> None:
    with pytest.raises(InvalidSettingError, match=words):
        HAPG([torch.zeros(1, requires_grad=True)], **settings)
