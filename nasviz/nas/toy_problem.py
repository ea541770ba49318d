"""The solvable model on which the gradient-based methods can be told apart (dissertation, Example 2.4).

L_p(w, alpha) = alpha w - 2 alpha + 1 and L_a(w, alpha) = (w - alpha)^2. The optimum of the bi-level problem
is (w, alpha) = (1, 1). First-order DARTS and MiLeNAS end at (2, 2); RARTS comes within O(1/lambda + 1/beta).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from nasviz.errors import InvalidSettingError, UnknownNameError
from nasviz.nas.bilevel import Lookahead, darts_steps, milenas_steps
from nasviz.nas.rarts import RateBounds, Relaxation, rarts_lagrangian, rarts_rate_bounds, rarts_steps
from nasviz.nas.update_steps import Step, Tensors, descend

__all__ = [
    "LIPSCHITZ",
    "METHODS",
    "OPTIMUM",
    "Point",
    "auxiliary_loss",
    "limit",
    "primary_loss",
    "trajectory",
]

METHODS = ("darts", "milenas", "rarts")
LIPSCHITZ = 4.0
"""Of the gradient of L_a, whose Hessian has eigenvalues 0 and 4; that of L_p is 1."""


class Point(NamedTuple):
    """Where a method stands. DARTS and MiLeNAS have one set of weights: their u is their w."""

    w: float
    u: float
    alpha: float
    lagrangian: float = float("nan")
    """L(u, w, alpha) of RARTS; NaN for the other methods, and for limits."""


OPTIMUM = Point(1.0, 1.0, 1.0)


def primary_loss(weights: Tensors, alphas: Tensors) -> Tensor:
    """L_p, which DARTS calls the validation loss."""
    (w,), (alpha,) = weights, alphas
    return alpha * w - 2 * alpha + 1


def auxiliary_loss(weights: Tensors, alphas: Tensors) -> Tensor:
    """L_a, which DARTS calls the training loss."""
    (w,), (alpha,) = weights, alphas
    return (w - alpha).square()


def limit(
    method: str,
    *,
    lookahead: float = 0.0,
    relaxation: Relaxation = Relaxation(),  # noqa: B008 (frozen)
) -> Point:
    """Return where a method ends, in closed form.

    Args:
        method: One of `METHODS`.
        lookahead: xi of DARTS; 0 is first order.
        relaxation: lambda and beta of RARTS.

    Raises:
        UnknownNameError: There is no such method.
        InvalidSettingError: RARTS has no unique equilibrium with these weights.

    Examples:
        >>> limit("darts").alpha, limit("darts", lookahead=0.5).alpha, limit("milenas").alpha
        (2.0, 1.0, 2.0)
        >>> limit("rarts", relaxation=Relaxation(1, 2))
        Point(w=1.0, u=0.0, alpha=2.0, lagrangian=nan)
    """
    if method == "darts":
        value = 2 / (1 + 2 * lookahead)
        return Point(value, value, value)
    if method == "milenas":
        return Point(2.0, 2.0, 2.0)
    if method != "rarts":
        raise UnknownNameError(f"no method {method!r}; choose one of {', '.join(METHODS)}")
    lambda_, beta = relaxation.auxiliary_weight, relaxation.coupling
    product = 4 * beta * lambda_
    divisor = product - beta - 2 * lambda_
    if divisor == 0:
        raise InvalidSettingError(
            f"auxiliary_weight={lambda_} and coupling={beta} leave RARTS without a unique"
            " equilibrium: 4 beta lambda - beta - 2 lambda is 0; choose any other pair"
        )
    return Point(
        w=(product - 2 * beta) / divisor,
        u=(product - 2 * beta - 4 * lambda_) / divisor,
        alpha=product / divisor,
    )


def trajectory(
    method: str,
    *,
    rates: RateBounds | None = None,
    lookahead: float = 0.0,
    validation_weight: float = 1.0,
    relaxation: Relaxation = Relaxation(),  # noqa: B008 (frozen)
    start: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> Iterator[Point]:
    """The start, and then where the method stands after each iteration, without end.

    Args:
        method: One of `METHODS`.
        rates: Learning rates; 0.99 of the bounds of Theorem 2.2 when left out.
        lookahead: xi of DARTS.
        validation_weight: lambda of MiLeNAS.
        relaxation: lambda and beta of RARTS.
        start: w, u and alpha; DARTS and MiLeNAS start at w and alpha.

    Raises:
        UnknownNameError: There is no such method.
    """
    if rates is None:
        rates = RateBounds(*(0.99 * bound for bound in rarts_rate_bounds(LIPSCHITZ, relaxation)))
    w, u, alpha = ([torch.tensor(x, dtype=torch.float64, requires_grad=True)] for x in start)
    iterations: dict[str, Callable[[], Iterator[Step]]] = {
        "darts": lambda: darts_steps(auxiliary_loss, primary_loss, w, alpha, Lookahead(lookahead)),
        "milenas": lambda: milenas_steps(
            auxiliary_loss, primary_loss, w, alpha, validation_weight=validation_weight
        ),
        "rarts": lambda: rarts_steps(primary_loss, auxiliary_loss, u, w, alpha, relaxation),
    }
    if method not in iterations:
        raise UnknownNameError(f"no method {method!r}; choose one of {', '.join(METHODS)}")
    value = float("nan")
    if method != "rarts":
        u = w
    while True:
        if method == "rarts":
            value = rarts_lagrangian(primary_loss, auxiliary_loss, u, w, alpha, relaxation).item()
        yield Point(w[0].item(), u[0].item(), alpha[0].item(), value)
        for _ in descend(iterations[method](), {"w": w, "u": u, "alpha": alpha}, rates._asdict()):
            pass
