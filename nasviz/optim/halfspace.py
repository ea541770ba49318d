"""Half-space projection (ASGNAS, Algorithm 3, line 15; OTO, section 3.2).

A trial point stays where it is as long as it lies in the half-space of the point it came from, and becomes
zero once it has left it. The printed line projects x_t; the test needs both x_t and the trial point.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["halfspace", "has_left_halfspace"]


def has_left_halfspace(dot: Tensor, square: Tensor, epsilon: float = 0.0) -> Tensor:
    """Whether <trial, x> < epsilon ||x||^2, or x is zero already; for any number of groups at once.

    Args:
        dot: <trial, x> of each group.
        square: ||x||^2 of each group.
        epsilon: In [0, 1). 0 zeroes latest, near 1 soonest.

    Examples:
        >>> has_left_halfspace(torch.tensor([22.0, -5.0, 0.0]), torch.tensor([25.0, 25.0, 0.0])).tolist()
        [False, True, True]
    """
    return (dot < epsilon * square) | (square == 0)


def halfspace(trial: Tensor, x: Tensor, epsilon: float = 0.0) -> Tensor:
    """`trial`, or zeros where it has left the half-space of `x`; a group at zero stays there.

    Examples:
        >>> x, d = torch.tensor([3.0, 4.0]), torch.tensor([2.0, 6.0])
        >>> halfspace(x - 0.1 * d, x)
        tensor([2.8000, 3.4000])
        >>> halfspace(x - 1.0 * d, x)
        tensor([0., 0.])
        >>> halfspace(x - 0.5 * (d + x / x.norm()), x, epsilon=0.2)
        tensor([1.7000, 0.6000])
    """
    dot, square = (trial * x).sum(), x.square().sum()
    return torch.where(has_left_halfspace(dot, square, epsilon), torch.zeros_like(trial), trial)
