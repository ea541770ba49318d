"""DARTS and MiLeNAS: architecture parameters learn from other examples than weights do.

L_train and L_val (L_1 and L_2 in the RARTS dissertation) are losses of one network on two halves of the data.
DARTS solves min over alpha of L_val(w*(alpha), alpha), and takes one step for w*.

References:
    Liu et al., DARTS (2019), equations (5)-(8). https://arxiv.org/abs/1806.09055
    He et al., MiLeNAS (2020). https://arxiv.org/abs/2003.12238
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from nasviz.nas.update_steps import Loss, Step, Tensors, TrialPoint, UpdateStep, gradient

__all__ = ["FIRST_ORDER", "Lookahead", "architecture_gradient", "darts_steps", "milenas_steps"]

REACH = 0.01
"""Length of the finite difference: epsilon_h = REACH / ||grad of L_val at w'|| (public code of DARTS)."""


@dataclass(frozen=True, slots=True, eq=False)
class Lookahead:
    """The step from w to w' that stands in for w*; it is the step that SGD with these settings would make."""

    rate: float = 0.0
    """xi (gamma in SparseNAS): the learning rate of w. 0 is first order: w' = w."""
    momentum: float = 0.0
    weight_decay: float = 0.0
    velocity: tuple[Tensor, ...] | None = None
    """Momentum buffers of w; None while there are none."""

    @torch.no_grad()
    def from_(self, weights: Tensors, grad: Tensors) -> tuple[Tensor, ...]:
        """The point w' = w - xi (momentum v + grad + weight_decay w), as new leaves."""
        direction = torch._foreach_add(list(grad), list(weights), alpha=self.weight_decay)
        if self.velocity is not None:
            torch._foreach_add_(direction, list(self.velocity), alpha=self.momentum)
        moved = torch._foreach_add(list(weights), direction, alpha=-self.rate)
        return tuple(tensor.requires_grad_() for tensor in moved)


FIRST_ORDER = Lookahead()


def architecture_gradient(
    train: Loss, validation: Loss, weights: Tensors, alphas: Tensors, lookahead: Lookahead = FIRST_ORDER
) -> Generator[TrialPoint, None, tuple[tuple[Tensor, ...], Tensor]]:
    """Gradient of L_val(w'(alpha), alpha) with respect to alpha, and L_val.

    Second order is the gradient at w' less xi times a Hessian-vector product, which is taken as the
    difference of two gradients of L_train at w+ and w-. It costs three further passes, and memory for w' and
    for one of w+-.

    Yields:
        w', w+ and w-, once each was evaluated; nothing at first order.

    References:
        SparseNAS, equation (12). Its equation (13) lacks the factor xi, and its text takes the gradient of
        L_train for w+-; the derivation and DARTS are as it is done here.
    """
    if lookahead.rate == 0:
        loss = validation(weights, alphas)
        return gradient(loss, alphas), loss.detach()
    ahead = lookahead.from_(weights, gradient(train(weights, alphas), weights))
    loss = validation(ahead, alphas)
    both = gradient(loss, [*alphas, *ahead])
    direct, along = list(both[: len(alphas)]), list(both[len(alphas) :])
    yield TrialPoint("w'", ahead)
    norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(along)))
    # Where L_val is flat in w there is nothing to chain through.
    reach = torch.where(norm > 0, REACH / norm, torch.zeros_like(norm))
    sides = []
    for symbol, sign in (("w+", 1.0), ("w-", -1.0)):
        with torch.no_grad():
            moved = torch._foreach_mul(along, sign * reach)
            torch._foreach_add_(moved, list(weights))
        sides.append(gradient(train(moved, alphas), alphas))
        yield TrialPoint(symbol, tuple(moved))
    with torch.no_grad():
        difference = torch._foreach_sub(list(sides[0]), list(sides[1]))
        factor = torch.where(reach > 0, lookahead.rate / (2 * reach), torch.zeros_like(reach))
        torch._foreach_mul_(difference, factor)
        torch._foreach_sub_(direct, difference)
    return tuple(direct), loss.detach()


def darts_steps(
    train: Loss, validation: Loss, weights: Tensors, alphas: Tensors, lookahead: Lookahead = FIRST_ORDER
) -> Iterator[Step]:
    """One iteration of DARTS: alpha by L_val at w', then w by L_train at the new alpha.

    Args:
        train: L_train of this iteration's batch.
        validation: L_val of this iteration's batch.
        weights: w; moved by whoever drives this.
        alphas: alpha; likewise.
        lookahead: How w' is reached; the default is first order.

    Examples:
        >>> from nasviz.nas.update_steps import descend
        >>> w, alpha = torch.tensor(0.0, requires_grad=True), torch.tensor(1.0, requires_grad=True)
        >>> steps = darts_steps(
        ...     lambda w, a: (w[0] - a[0]) ** 2, lambda w, a: a[0] * w[0] - 2 * a[0] + 1, [w], [alpha]
        ... )
        >>> moves = descend(steps, {"w": [w], "alpha": [alpha]}, {"w": 0.5, "alpha": 0.5})
        >>> [(move.variable, move.gradient[0].item()) for move in moves], w.item(), alpha.item()
        ([('alpha', -2.0), ('w', -4.0)], 2.0, 2.0)
    """
    grad, loss = yield from architecture_gradient(train, validation, weights, alphas, lookahead)
    yield UpdateStep("alpha", grad, loss)
    yield _weights_move(train, weights, alphas)


def milenas_steps(
    train: Loss, validation: Loss, weights: Tensors, alphas: Tensors, *, validation_weight: float = 1.0
) -> Iterator[Step]:
    """One iteration of MiLeNAS: w by L_train, then alpha by L_train + lambda L_val, both at the new w.

    Args:
        train: L_train of this iteration's batch.
        validation: L_val of this iteration's batch.
        weights: w; moved by whoever drives this.
        alphas: alpha; likewise.
        validation_weight: lambda.

    References:
        RARTS dissertation, equation (2.23).
    """
    yield _weights_move(train, weights, alphas)
    loss = validation(weights, alphas)
    mixed = train(weights, alphas) + validation_weight * loss
    yield UpdateStep("alpha", gradient(mixed, alphas), loss.detach())


def _weights_move(train: Loss, weights: Tensors, alphas: Tensors) -> UpdateStep:
    loss = train(weights, alphas)
    return UpdateStep("w", gradient(loss, weights), loss.detach())
