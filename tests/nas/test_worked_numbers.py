"""Latency, distillation and dimensions against the numbers worked out by hand."""

from __future__ import annotations

import pytest
import torch

from nasviz.errors import InvalidSettingError
from nasviz.nas.latency import LatencyPenalty, latency_gradient
from nasviz.nas.width_search import distillation_loss, kept_dimensions


def test_the_latency_of_an_edge_and_its_gradient() -> None:
    alpha = torch.tensor([1.0, 2.0, 0.0], dtype=torch.float64, requires_grad=True)
    costs = torch.tensor([5.0, 1.0, 3.0], dtype=torch.float64)
    value = LatencyPenalty([costs])([alpha])
    (grad,) = torch.autograd.grad(value, alpha)
    assert value.item() == pytest.approx(2.158975, abs=5e-7)
    assert grad.tolist() == pytest.approx([0.695280, -0.770998, 0.075718], abs=5e-7)
    assert grad.sum().item() == pytest.approx(0, abs=1e-15)
    torch.testing.assert_close(grad, latency_gradient(alpha.detach(), costs))


def test_edges_with_other_numbers_of_operations_add_up() -> None:
    generator = torch.Generator().manual_seed(0)
    alphas = [torch.randn(n, generator=generator, dtype=torch.float64).requires_grad_() for n in (2, 5, 1)]
    costs = [torch.rand(n, generator=generator, dtype=torch.float64) for n in (2, 5, 1)]
    value = LatencyPenalty(costs)(alphas)
    expected = sum((a.softmax(0) * c).sum() for a, c in zip(alphas, costs, strict=True))
    torch.testing.assert_close(value, expected)
    grads = torch.autograd.grad(value, alphas)
    for alpha, cost, grad in zip(alphas, costs, grads, strict=True):
        torch.testing.assert_close(grad, latency_gradient(alpha.detach(), cost))
    with pytest.raises(InvalidSettingError, match=r"\[2, 5, 1\]"):
        LatencyPenalty(costs)(alphas[:2])


def test_the_distillation_loss_of_the_worked_example() -> None:
    teacher = torch.tensor([[3.0, 1.0, -1.0]], dtype=torch.float64)
    student = torch.tensor([[2.0, 1.0, 0.0]], dtype=torch.float64)
    assert distillation_loss(teacher, student).item() == pytest.approx(0.0191076, abs=5e-8)
    assert distillation_loss(teacher, teacher + 7.0).item() == pytest.approx(0, abs=1e-15)
    twice = distillation_loss(teacher.repeat(2, 1), torch.cat([student, teacher]))
    assert twice.item() == pytest.approx(0.0191076 / 2, abs=5e-8)


def test_the_distillation_loss_is_never_negative() -> None:
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        pair = torch.randn(2, 8, 10, generator=generator, dtype=torch.float64)
        assert distillation_loss(pair[0], pair[1]).item() > 0


def test_the_rounding_of_dimensions() -> None:
    assert [kept_dimensions(ratio, 32) for ratio in (1.0, 0.8, 0.6, 0.4, 0.2, 0.001)] == [
        32,
        25,
        19,
        12,
        6,
        1,
    ]
    with pytest.raises(InvalidSettingError, match="ratio=0"):
        kept_dimensions(0, 32)
