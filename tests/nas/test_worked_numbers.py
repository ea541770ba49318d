"""Latency, distillation, splitting, width and dimensions against the numbers worked out by hand."""

from __future__ import annotations

import pytest
import torch

from nasviz.errors import InvalidSettingError
from nasviz.nas.dimension import Counts, attention_counts, kept_dimensions, mlp_counts
from nasviz.nas.distillation import distillation_loss
from nasviz.nas.latency import LatencyPenalty, latency_gradient
from nasviz.nas.splitting import hard_threshold, rvsm_step_, soft_threshold, split
from nasviz.nas.width import channels_to_keep


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


@pytest.mark.parametrize("penalty", ["l0", "l1"])
def test_the_maps_of_splitting_minimise(penalty: str) -> None:
    grid = torch.linspace(-4, 4, 8001, dtype=torch.float64)
    for x in (-3.0, -1.1, -0.2, 0.0, 0.9, 1.6, 2.5):
        point = torch.tensor(x, dtype=torch.float64)
        found = split(point, penalty=penalty, weight=1.5, coupling=2.0)
        price = grid.abs() if penalty == "l1" else (grid.abs() > 1e-9).double()
        best = (1.5 * price + (grid - x).square()).min()
        own = found.abs() if penalty == "l1" else (found != 0).double()
        assert (1.5 * own + (found - x).square()).item() <= best.item() + 1e-9


def test_thresholds_are_the_printed_ones() -> None:
    x = torch.tensor([-2.0, -1.0, 0.5, 1.0, 1.5])
    assert hard_threshold(x, 0.5).tolist() == [-2.0, 0.0, 0.0, 0.0, 1.5]
    assert soft_threshold(x, 0.5).tolist() == [-1.5, -0.5, 0.0, 0.5, 1.0]


def test_splitting_finds_the_sparse_point_of_a_quadratic() -> None:
    target = torch.tensor([2.0, 0.1, -1.0], dtype=torch.float64)
    w = [torch.zeros(3, dtype=torch.float64, requires_grad=True)]
    u = [torch.zeros(3, dtype=torch.float64)]
    settings = {"rate": 0.05, "weight": 0.2, "coupling": 10.0}
    values = [
        rvsm_step_(lambda: (w[0] - target).square().sum() / 2, w, u, **settings).item() for _ in range(2000)
    ]
    # At rest w balances the loss and the spring, and u is its soft threshold.
    w_, u_ = w[0].detach(), u[0]
    torch.testing.assert_close(u_, soft_threshold(w_, 0.02))
    torch.testing.assert_close(w_ - target + 10.0 * (w_ - u_), torch.zeros(3, dtype=torch.float64))
    assert u_[1] == 0 or abs(u_[1]) < 0.1
    assert values[-1] < values[0]


def test_all_channels_compete_and_each_layer_keeps_its_strongest() -> None:
    scores = {"a": torch.tensor([0.01, 0.02, 0.03]), "b": torch.tensor([5.0, -0.02, 4.0, 3.0])}
    keep = channels_to_keep(scores, 0.6)  # 4 of 7
    assert keep["a"].tolist() == [False, False, True]
    assert keep["b"].tolist() == [True, False, True, False]
    alone = channels_to_keep(scores, 0.6, is_global=False)
    assert alone["a"].tolist() == [False, True, True]
    assert alone["b"].tolist() == [True, False, True, False]


def test_ties_go_by_layer_and_index() -> None:
    scores = {"a": torch.ones(3), "b": torch.ones(3)}
    gone = {
        name: (~mask).nonzero().flatten().tolist() for name, mask in channels_to_keep(scores, 0.5).items()
    }
    assert gone == {"a": [1, 2], "b": [1]}


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.4, 0.6, 0.99])
def test_the_share_is_exact_as_long_as_layers_can_keep_one(fraction: float) -> None:
    generator = torch.Generator().manual_seed(0)
    scores = {f"layer{i}": torch.randn(n, generator=generator) for i, n in enumerate((4, 16, 30))}
    keep = channels_to_keep(scores, fraction)
    gone = sum(int((~mask).sum()) for mask in keep.values())
    assert gone == min(int(fraction * 50 + 1e-9), 47)
    assert all(mask.any() for mask in keep.values())


def test_the_counts_of_a_pruned_attention() -> None:
    assert attention_counts(96, 3, 49).params == 36_864
    assert attention_counts(96, 3, 49, kept=26).params == 29_952
    full, half = attention_counts(64, 4, 100), attention_counts(64, 4, 100, kept=8)
    assert full == Counts(4 * 64**2, 4 * 100 * 64**2 + 2 * 100**2 * 64)
    assert (half.params * 2, half.macs * 2) == full
    windowed = attention_counts(96, 3, 56**2, window=7)
    assert windowed.macs == 4 * 56**2 * 96**2 + 2 * 56**2 * 49 * 96


def test_the_counts_of_a_pruned_mlp_and_the_rounding() -> None:
    assert mlp_counts(96, 384, 49) == Counts(2 * 96 * 384, 2 * 49 * 96 * 384)
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
    with pytest.raises(InvalidSettingError, match="keeps from 1 to 32"):
        attention_counts(96, 3, 49, kept=33)
