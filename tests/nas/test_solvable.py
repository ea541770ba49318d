"""Example 2.4 of the dissertation: every limit that it states, and the descent that Theorem 2.2 promises."""

from __future__ import annotations

import itertools

import pytest
import torch

from nasviz.errors import InvalidSettingError, UnknownNameError
from nasviz.nas.rarts import RateBounds, Relaxation, rarts_lagrangian
from nasviz.nas.toy_problem import OPTIMUM, Point, auxiliary_loss, limit, primary_loss, trajectory

RATES = RateBounds(0.1, 0.1, 0.1)


def after(num_steps: int, method: str, **settings) -> Point:
    return next(itertools.islice(trajectory(method, **settings), num_steps, None))


def close(point: Point, expected: Point, tolerance: float = 1e-9) -> bool:
    return all(abs(point[i] - expected[i]) < tolerance for i in range(3))


@pytest.mark.parametrize(
    ("method", "settings", "end"),
    [
        ("darts", {}, 2.0),
        ("milenas", {"validation_weight": 10.0}, 2.0),
        ("milenas", {"validation_weight": 0.5}, 2.0),
        ("darts", {"lookahead": 0.25}, 4 / 3),
        ("darts", {"lookahead": 0.5}, 1.0),
    ],
)
def test_methods_with_one_network_end_where_they_are_known_to(method, settings, end) -> None:
    last = after(800, method, rates=RATES, **settings)
    assert close(last, Point(end, end, end))
    known = {name: value for name, value in settings.items() if name == "lookahead"}
    assert close(limit(method, **known), Point(end, end, end))


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ((10, 10), (1.027027, 0.918919, 1.081081)),
        ((100, 100), (1.002519, 0.992443, 1.007557)),
        ((1, 2), (1.0, 0.0, 2.0)),
    ],
)
def test_the_limits_of_rarts_are_the_printed_ones(weights, expected) -> None:
    assert close(limit("rarts", relaxation=Relaxation(*weights)), Point(*expected), 5e-7)


def test_the_lagrangian_never_rises_below_the_bounds() -> None:
    points = list(itertools.islice(trajectory("rarts", relaxation=Relaxation(10, 10)), 1500))
    values = torch.tensor([point.lagrangian for point in points], dtype=torch.float64)
    assert (values.diff() <= 1e-14).all()  # at the very end only rounding is left
    assert close(points[-1], limit("rarts", relaxation=Relaxation(10, 10)), 1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("start", [(0.0, 0.0, 0.0), (3.0, -2.0, -1.0)])
def test_twenty_thousand_steps_descend_and_reach_the_closed_form(start) -> None:
    relaxation = Relaxation(10, 10)
    before, last = float("inf"), OPTIMUM
    for last in itertools.islice(trajectory("rarts", relaxation=relaxation, start=start), 20_001):
        assert last.lagrangian <= before + 1e-14
        before = last.lagrangian
    assert close(last, limit("rarts", relaxation=relaxation), 1e-12)


def test_the_closed_form_is_where_all_gradients_vanish() -> None:
    for weights in itertools.product((0.7, 1.0, 10.0, 100.0), (1.5, 2.0, 30.0)):
        relaxation = Relaxation(*weights)
        end = limit("rarts", relaxation=relaxation)
        w, u, alpha = (torch.tensor(x, dtype=torch.float64) for x in end[:3])
        slopes = torch.func.grad(value(relaxation), argnums=(0, 1, 2))(w, u, alpha)
        assert max(abs(slope.item()) for slope in slopes) < 1e-10


def value(relaxation: Relaxation):
    """The Lagrangian by its equation, apart from the implementation."""

    def lagrangian(w, u, alpha):
        return (
            primary_loss([u], [alpha])
            + relaxation.auxiliary_weight * auxiliary_loss([w], [alpha])
            + relaxation.coupling / 2 * (u - w) ** 2
        )

    return lagrangian


@pytest.mark.parametrize(
    ("weights", "eigenvalues"), [((10, 10), (0.33049, 5.88348, 23.78604)), ((0.51, 1.01), (0.00749,))]
)
def test_the_quadratic_form_is_positive_definite(weights, eigenvalues) -> None:
    x = torch.zeros((), dtype=torch.float64)
    hessian = torch.func.hessian(value(Relaxation(*weights)), argnums=(0, 1, 2))(x, x, x)
    found = torch.linalg.eigvalsh(torch.tensor(hessian, dtype=torch.float64) / 2)
    assert found[: len(eigenvalues)].tolist() == pytest.approx(eigenvalues, abs=5e-6)


def test_the_lagrangian_is_that_of_the_equation() -> None:
    w, u, alpha = (torch.tensor(x, dtype=torch.float64) for x in (0.3, -1.2, 0.7))
    relaxation = Relaxation(3, 5, penalty=lambda alphas: alphas[0] ** 2, penalty_weight=0.5)
    found = rarts_lagrangian(primary_loss, auxiliary_loss, [u], [w], [alpha], relaxation)
    assert found.item() == pytest.approx((value(relaxation)(w, u, alpha) + 0.5 * alpha**2).item())


def test_the_error_of_rarts_falls_with_its_weights() -> None:
    errors = [
        abs(limit("rarts", relaxation=Relaxation(weight, weight)).alpha - 1) for weight in (10, 100, 1000)
    ]
    assert errors[0] > 9 * errors[1] > 80 * errors[2] > 0


def test_what_does_not_exist_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="darts, milenas, rarts"):
        next(trajectory("adam"))
    with pytest.raises(UnknownNameError, match="darts, milenas, rarts"):
        limit("adam")
    with pytest.raises(InvalidSettingError, match="unique"):
        limit("rarts", relaxation=Relaxation(1.0, 2 / 3))
