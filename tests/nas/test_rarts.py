"""The three moves of RARTS, each against its equation (2.12)."""

from __future__ import annotations

import pytest
import torch

from nasviz.nas.latency import LatencyPenalty
from nasviz.nas.rarts import Relaxation, rarts_rate_bounds, rarts_steps
from nasviz.nas.update_steps import descend
from tests.nas.test_bilevel import tensors, train, validation


def test_the_moves_follow_one_another_as_gauss_and_seidel_do() -> None:
    u, w, alphas = tensors(3, 2, seed=0), tensors(3, 2, seed=3), tensors(2, 3, seed=1)
    penalty = LatencyPenalty([torch.tensor([3.0, 1.0]), torch.tensor([1.0, 2.0, 5.0])])
    relaxation = Relaxation(0.7, 1.3, penalty, 0.02)
    rates = {"w": 0.1, "u": 0.2, "alpha": 0.3}
    steps = rarts_steps(train, validation, u, w, alphas, relaxation)

    x, y, a = (torch.cat(list(part)).detach().requires_grad_() for part in (u, w, alphas))

    def parts(v, sizes=(3, 2)):
        return list(torch.split(v, sizes))

    def lagrangian(x, y, a):
        alphas = parts(a, (2, 3))
        value = train(parts(x), alphas) + 0.7 * validation(parts(y), alphas)
        return value + 0.65 * (x - y).square().sum() + 0.02 * penalty(alphas)

    expected = []
    for index, rate in ((1, 0.1), (0, 0.2), (2, 0.3)):
        point = [x, y, a]
        grad = torch.autograd.grad(lagrangian(*point), point[index])[0]
        expected.append(grad)
        point[index] = (point[index] - rate * grad).detach().requires_grad_()
        x, y, a = point

    made = list(descend(steps, {"u": u, "w": w, "alpha": alphas}, rates))
    assert [move.variable for move in made] == ["w", "u", "alpha"]
    for move, grad in zip(made, expected, strict=True):
        torch.testing.assert_close(torch.cat(list(move.gradient)), grad)
    torch.testing.assert_close(torch.cat(alphas).detach(), a.detach())


def test_without_a_spring_the_copies_know_nothing_of_each_other() -> None:
    u, w, alphas = tensors(3, 2, seed=0), tensors(3, 2, seed=3), tensors(2, 3, seed=1)
    first, second, _ = rarts_steps(train, validation, u, w, alphas, Relaxation(2.0, 0.0))
    torch.testing.assert_close(second.gradient, torch.autograd.grad(train(u, alphas), u))
    torch.testing.assert_close(first.gradient, torch.autograd.grad(2 * validation(w, alphas), w))


def test_without_auxiliary_weight_alpha_learns_from_the_primary_loss_alone() -> None:
    u, w, alphas = tensors(3, 2, seed=0), tensors(3, 2, seed=3), tensors(2, 3, seed=1)
    *_, last = rarts_steps(train, validation, u, w, alphas, Relaxation(0.0, 1.0))
    torch.testing.assert_close(last.gradient, torch.autograd.grad(train(u, alphas), alphas))


def test_a_penalty_tightens_the_bound_of_alpha_alone() -> None:
    plain = rarts_rate_bounds(4.0, Relaxation(10, 10))
    priced = rarts_rate_bounds(4.0, Relaxation(10, 10, penalty_weight=2.0))
    assert plain == pytest.approx((1 / 18, 1 / 90, 1 / 88))
    assert priced == pytest.approx((1 / 18, 1 / 90, 1 / 96))
