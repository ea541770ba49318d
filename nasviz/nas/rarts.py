"""RARTS: two copies of the weights, tied by a spring, share one architecture (dissertation, section 2.2).

L(u, w, alpha) = L_p(u, alpha) + lambda L_a(w, alpha) + beta/2 ||u - w||^2 + gamma P(alpha)    (2.11)

The primary weights u see one half of the data, the auxiliary weights w the other, alpha both. No second
derivatives are needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from nasviz.nas.update_steps import Loss, Step, Tensors, UpdateStep, gradient
from nasviz.settings import RARTSSettings

__all__ = ["RateBounds", "Relaxation", "rarts_lagrangian", "rarts_rate_bounds", "rarts_steps"]

Penalty = Callable[[Tensors], Tensor]
"""P: a scalar of the architecture parameters."""


@dataclass(frozen=True, slots=True)
class Relaxation:
    """What the Lagrangian weighs."""

    auxiliary_weight: float = RARTSSettings().auxiliary_weight
    """lambda. 0: alpha learns from L_p alone."""
    coupling: float = RARTSSettings().coupling
    """beta. 0: the two copies of the weights know nothing of each other."""
    penalty: Penalty | None = None
    """P, such as a latency."""
    penalty_weight: float = 0.0
    """gamma."""


class RateBounds(NamedTuple):
    """Learning rates below which the Lagrangian never rises."""

    u: float
    w: float
    alpha: float


def rarts_rate_bounds(lipschitz: float, relaxation: Relaxation) -> RateBounds:
    """Bounds c_1, c_2, c_3 on the learning rates (Theorem 2.2; its (2.15) prints eta_y for eta_u).

    Args:
        lipschitz: L, a Lipschitz constant of the gradients of L_p, L_a and P.
        relaxation: lambda, beta and gamma.

    Examples:
        >>> [round(1 / bound) for bound in rarts_rate_bounds(4.0, Relaxation(10, 10))]
        [18, 90, 88]
    """
    r = relaxation
    return RateBounds(
        u=0.5 / (r.coupling / 2 + lipschitz),
        w=0.5 / (r.coupling / 2 + r.auxiliary_weight * lipschitz),
        alpha=0.5 / ((1 + r.auxiliary_weight + r.penalty_weight / 2) * lipschitz),
    )


def rarts_steps(
    primary: Loss,
    auxiliary: Loss,
    u: Tensors,
    w: Tensors,
    alphas: Tensors,
    relaxation: Relaxation = Relaxation(),
) -> Iterator[Step]:
    """One iteration of RARTS: w, u and alpha in this order, each at what the others have just become.

    The equations are (2.10) and (2.12); Algorithm 3 of the dissertation swaps arguments.

    Args:
        primary: L_p of this iteration's batch.
        auxiliary: L_a of this iteration's batch.
        u: Primary weights; moved by whoever drives this.
        w: Auxiliary weights; likewise.
        alphas: alpha; likewise.
        relaxation: lambda, beta, P and gamma.
    """
    r = relaxation
    loss = auxiliary(w, alphas)
    yield UpdateStep("w", _pulled(gradient(loss, w), r.auxiliary_weight, w, u, r.coupling), loss.detach())
    loss = primary(u, alphas)
    yield UpdateStep("u", _pulled(gradient(loss, u), 1.0, u, w, r.coupling), loss.detach())
    # L_a is taken anew, at the w that has just moved: the order is what the descent rests on.
    grads = list(gradient(auxiliary(w, alphas), alphas))
    torch._foreach_mul_(grads, r.auxiliary_weight)
    loss = primary(u, alphas)
    torch._foreach_add_(grads, list(gradient(loss, alphas)))
    if r.penalty is not None and r.penalty_weight:
        torch._foreach_add_(grads, list(gradient(r.penalty(alphas), alphas)), alpha=r.penalty_weight)
    yield UpdateStep("alpha", tuple(grads), loss.detach())


@torch.no_grad()
def rarts_lagrangian(
    primary: Loss,
    auxiliary: Loss,
    u: Tensors,
    w: Tensors,
    alphas: Tensors,
    relaxation: Relaxation = Relaxation(),
) -> Tensor:
    """L(u, w, alpha) of (2.11); arguments as for `rarts_steps`."""
    r = relaxation
    apart = torch._foreach_sub(list(u), list(w))
    spring = torch.stack(torch._foreach_norm(apart)).square().sum()
    value = primary(u, alphas) + r.auxiliary_weight * auxiliary(w, alphas) + r.coupling / 2 * spring
    return value if r.penalty is None else value + r.penalty_weight * r.penalty(alphas)


@torch.no_grad()
def _pulled(
    grad: Tensors, weight: float, variables: Tensors, others: Tensors, coupling: float
) -> tuple[Tensor, ...]:
    """The gradient times its weight, and the pull of the spring: beta (variables - others)."""
    pulled = torch._foreach_sub(list(variables), list(others))
    torch._foreach_mul_(pulled, coupling)
    torch._foreach_add_(pulled, list(grad), alpha=weight)
    return tuple(pulled)
