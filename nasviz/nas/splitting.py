"""RVSM, the relaxed variable splitting that RARTS grew from (dissertation, section 2.1.2, equation (2.6)).

min f(w) + lambda P(u) + beta/2 ||w - u||^2: w follows by a gradient step, u by a proximal map. u is sparse.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from nasviz.errors import InvalidSettingError
from nasviz.nas.update_steps import gradient

__all__ = ["hard_threshold", "rvsm_step_", "soft_threshold", "split"]


def hard_threshold(x: Tensor, gamma: float) -> Tensor:
    """H, the proximal map of gamma ||.||_0: what is at most sqrt(2 gamma) in size becomes 0.

    Examples:
        >>> hard_threshold(torch.tensor([-2.0, 1.0, 1.5, 0.5]), 0.5).tolist()
        [-2.0, 0.0, 1.5, 0.0]
    """
    return torch.where(x.square() > 2 * gamma, x, torch.zeros_like(x))


def soft_threshold(x: Tensor, gamma: float) -> Tensor:
    """S, the proximal map of gamma ||.||_1: closer to 0 by gamma, and not past it.

    Examples:
        >>> soft_threshold(torch.tensor([-2.0, 0.25, 1.5]), 0.5).tolist()
        [-1.5, 0.0, 1.0]
    """
    return x.sign() * (x.abs() - gamma).clamp_min(0)


_MAPS = {"l0": hard_threshold, "l1": soft_threshold}


def split(x: Tensor, *, penalty: str, weight: float, coupling: float) -> Tensor:
    """The u that minimises lambda P(u) + beta/2 ||u - x||^2, where P counts non-zeros or sums their sizes.

    Args:
        x: w.
        penalty: "l0" or "l1".
        weight: lambda, not negative.
        coupling: beta, above 0.

    Raises:
        InvalidSettingError: A setting is out of range.

    Examples:
        >>> split(torch.tensor([3.0, 1.0]), penalty="l1", weight=4.0, coupling=2.0).tolist()
        [1.0, 0.0]
    """
    if penalty not in _MAPS or weight < 0 or coupling <= 0:
        raise InvalidSettingError(
            f"penalty={penalty!r}, weight={weight!r}, coupling={coupling!r}: penalty must be 'l0' or 'l1',"
            " weight at least 0 and coupling above 0"
        )
    return _MAPS[penalty](x, weight / coupling)


def rvsm_step_(
    loss: Callable[[], Tensor],
    w: Sequence[Tensor],
    u: Sequence[Tensor],
    *,
    rate: float,
    penalty: str = "l1",
    weight: float = 1.0,
    coupling: float = 1.0,
) -> Tensor:
    """One iteration of RVSM, in place; returns the loss at w.

    Args:
        loss: f at w.
        w: Leaf tensors that f is taken of.
        u: Tensors of the same shapes, which become sparse.
        rate: eta.
        penalty: "l0" or "l1".
        weight: lambda.
        coupling: beta.
    """
    value = loss()
    grad = gradient(value, w)
    with torch.no_grad():
        # Both updates start from w^t.
        nearest = [split(x, penalty=penalty, weight=weight, coupling=coupling) for x in w]
        apart = torch._foreach_sub(list(w), list(u))
        torch._foreach_add_(list(w), list(grad), alpha=-rate)
        torch._foreach_add_(list(w), apart, alpha=-rate * coupling)
        torch._foreach_copy_(list(u), nearest)
    return value.detach()
