"""Group regularisation of redundant structures: the subgradient step of psi (OTOv3, Algorithm 3, line 14).

psi(x) = f(x) + sum of lambda_g ||x_g||. How lambda_g is chosen for each group is that of DHSPG: as large as
needed for the group to shrink, but not so large that the loss rises, to first order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.optim import SGD, Optimizer

from nasviz.optim.checks import not_negative
from nasviz.saliency import StructureIndex
from nasviz.settings import PUBLISHED_REGULARIZATION

__all__ = ["Regularization", "published_regularization", "shrink_"]


@dataclass(frozen=True, slots=True)
class Regularization:
    """How lambda_g is chosen."""

    least: float
    """lambda, for a group that the loss itself shrinks."""
    amplify: float
    """How many times the smallest value that shrinks a group is taken for one that the loss lets grow."""
    cap: float
    """How many times lambda the result may be at most."""

    def __post_init__(self) -> None:
        not_negative("regularization", self.least)
        not_negative("amplify", self.amplify)
        not_negative("cap", self.cap)

    def coefficients(self, dot: Tensor, norm: Tensor, direction_norm: Tensor) -> Tensor:
        """lambda_g of each group.

        Between -<x, d> / ||x|| and -||d||^2 ||x|| / <x, d> the step -(d + lambda x / ||x||) shortens x and
        still descends. The cap may lie below: then the group may grow, a known limit of small caps.

        Args:
            dot: <x_g, d_g>.
            norm: ||x_g||.
            direction_norm: ||d_g||.

        Examples:
            >>> dot, norm, direction_norm = (
            ...     torch.tensor([-1.0]),
            ...     torch.tensor([5.0]),
            ...     torch.tensor([1.25]).sqrt(),
            ... )
            >>> Regularization(1e-2, 20, 1e3).coefficients(dot, norm, direction_norm).item()
            4.0
        """
        safe_dot, safe_norm = torch.where(dot < 0, dot, -1.0), torch.where(norm > 0, norm, 1.0)
        lowest = -safe_dot / safe_norm
        highest = -direction_norm.square() * safe_norm / safe_dot
        chosen = (self.amplify * lowest).clamp(self.least, self.least * max(self.cap, 1.0))
        chosen = torch.where(chosen >= highest, (lowest + highest) / 2, chosen)
        return torch.where(dot < 0, chosen, self.least)


def published_regularization(
    inner: Optimizer, least: float | None = None, amplify: float | None = None, cap: float | None = None
) -> Regularization:
    """The published values for a base optimizer, where nothing else is given (public code of DHSPG).

    Examples:
        >>> published_regularization(torch.optim.SGD([torch.zeros(1)]))
        Regularization(least=0.001, amplify=2.0, cap=10.0)
        >>> published_regularization(torch.optim.Adam([torch.zeros(1)]), amplify=5.0)
        Regularization(least=0.01, amplify=5.0, cap=1000.0)
    """
    published = PUBLISHED_REGULARIZATION["sgd" if isinstance(inner, SGD) else "adam"]
    given = (least, amplify, cap)
    return Regularization(*(p if g is None else g for g, p in zip(given, published, strict=True)))


def shrink_(
    index: StructureIndex,
    before: Sequence[Tensor],
    norm: Tensor,
    coefficients: Tensor,
    rates: Sequence[float],
) -> None:
    """Add the regulariser's part to a step: x -= lr lambda_g x_t / ||x_t||, nothing where x_t is zero.

    Args:
        index: The structures; their tensors are changed.
        before: x_t, in the order of the index.
        norm: ||x_t|| of each structure.
        coefficients: lambda_g of each structure.
        rates: Learning rate of each tensor.
    """
    if not index.tensors:
        return
    pull = index.per_tensor(torch.where(norm > 0, coefficients / norm, 0.0))
    pull = pull * torch.tensor(rates, dtype=pull.dtype).to(pull.device, non_blocking=True)
    if index.device.type == "cpu":  # no launches to save, so neither is memory spent
        for tensor, value, factor in zip(index.tensors, before, pull.tolist(), strict=True):
            tensor.add_(value, alpha=-factor)
    else:
        torch._foreach_addcmul_(index.tensors, list(before), list(index.filled(pull)), value=-1.0)
