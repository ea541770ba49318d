"""Proximal maps, as pure functions of tensors: argmin over y of penalty(y) + ||y - x||^2 / 2.

The half-space projection, which is no proximal map, lies in `halfspace`.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["group_factor", "group_threshold", "soft_threshold", "sparse_group_threshold"]


def soft_threshold(x: Tensor, threshold: float | Tensor) -> Tensor:
    """Map of threshold ||y||_1: every entry closer to 0, and not past it (SparseNAS, equation 9).

    Args:
        x: Any shape.
        threshold: Not negative; a tensor has one for each entry.

    Examples:
        >>> soft_threshold(torch.tensor([0.5, -0.2, 0.05]), 0.05).tolist()
        [0.44999998807907104, -0.15000000596046448, 0.0]
    """
    return x.sign() * (x.abs() - threshold).clamp_min(0)


def group_factor(norm: Tensor, threshold: float | Tensor) -> Tensor:
    """What the map of threshold ||y|| multiplies a group by: (1 - threshold / norm)_+, 0 for an empty norm.

    Args:
        norm: Of each group.
        threshold: Not negative; for all groups, or of each.

    Examples:
        >>> group_factor(torch.tensor([2.0, 0.5, 0.0]), 1.0).tolist()
        [0.5, 0.0, 0.0]
    """
    is_longer = norm > threshold
    return torch.where(is_longer, 1 - threshold / torch.where(is_longer, norm, 1.0), 0.0)


def group_threshold(x: Tensor, threshold: float | Tensor) -> Tensor:
    """Map of threshold ||y||: the whole group shorter by it, zero where it is not longer (GSparsity, eq. 2).

    Examples:
        >>> group_threshold(torch.tensor([3.0, 4.0]), 1.0)
        tensor([2.4000, 3.2000])
        >>> group_threshold(torch.tensor([0.3, 0.4]), 1.0)
        tensor([0., 0.])
    """
    return x * group_factor(torch.linalg.vector_norm(x), threshold)


def sparse_group_threshold(x: Tensor, l1: float | Tensor, l2: float | Tensor) -> Tensor:
    """Map of l1 ||y||_1 + l2 ||y||: entries first, then the group; in this order it is the exact map.

    References:
        SparseNAS, equation (5); Bach et al., Optimization with sparsity-inducing penalties, section 3.3.

    Examples:
        >>> sparse_group_threshold(torch.tensor([0.5, -0.2, 0.05]), 0.05, 3**0.5 * 0.05)
        tensor([ 0.3678, -0.1226,  0.0000])
    """
    return group_threshold(soft_threshold(x, l1), l2)
