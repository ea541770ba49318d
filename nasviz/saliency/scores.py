"""Saliency scores of removal structures; the smallest mark what is redundant (ASGNAS, Algorithm 3, line 5).

A score is a pure function of `Reductions`. The default is the first-order Taylor score; the form of the
documents (cosine similarity and average magnitude, ASGNAS, section 3.2) stands beside it. The average
magnitude is nearly 1 / |g|, so `documents` and `magnitude` prefer large structures where sizes differ much.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from nasviz.errors import InvalidSettingError, UnknownNameError
from nasviz.saliency.reductions import Reductions

__all__ = ["SALIENCIES", "Saliency", "documents", "find", "magnitude", "random", "running_average", "taylor"]

Score = Callable[[Reductions], Tensor]


def taylor(reductions: Reductions) -> Tensor:
    """|<x_g, grad f_g>|: to first order, how much the loss changes when a structure is set to zero."""
    return reductions.gradient_dot.abs()


def magnitude(reductions: Reductions) -> Tensor:
    """a_g = ||x_g|| / |g|, the average magnitude of a structure's variables."""
    return _ratio(reductions.norm, reductions.num_parameters)


def documents(reductions: Reductions) -> Tensor:
    """Average magnitude minus cosine, each normalised over all structures (ASGNAS, section 3.2).

    With c_g the cosine of x_g and the direction d_g, a positive c_g means that shrinking the structure lowers
    the loss. The score is a_g / (2 ||a||) - c_g / (2 ||c||).

    Examples:
        >>> from nasviz.saliency.reductions import StructureIndex
        >>> x = [torch.tensor([3.0, 4.0]), torch.full((4,), 0.1), torch.tensor([1.0, 0.0])]
        >>> d = [torch.tensor([-1.0, 0.5]), torch.tensor([0.2, 0.1, 0.1, 0.2]), torch.tensor([0.0, 1.0])]
        >>> index = StructureIndex({group: [value] for group, value in enumerate(x, start=1)})
        >>> [round(s, 6) for s in documents(Reductions(index, x, d, d)).tolist()]
        [0.582844, -0.481537, 0.098039]
    """
    average = magnitude(reductions)
    cosine = _ratio(reductions.direction_dot, reductions.norm * reductions.direction_norm)
    return (_ratio(average, average.norm()) - _ratio(cosine, cosine.norm())) / 2


def random(reductions: Reductions, *, generator: Generator) -> Tensor:
    """Uniform numbers in [0, 1): the baseline that knows nothing."""
    ids = reductions.index.ids
    drawn = torch.rand(len(ids), generator=generator, device=generator.device, dtype=torch.float64)
    return drawn.to(reductions.index.device)


def running_average(average: Tensor | None, sample: Tensor, momentum: float) -> Tensor:
    """Exponential average of the scores over the warm-up (OTOv3, Algorithm 3); the first sample starts it.

    Examples:
        >>> first = running_average(None, torch.tensor([1.0, 4.0]), 0.9)
        >>> running_average(first, torch.tensor([2.0, 4.0]), 0.9).tolist()
        [1.100000023841858, 4.0]
    """
    return sample if average is None else torch.lerp(sample, average, momentum)


@dataclass(frozen=True, slots=True)
class Saliency:
    """A score by name, with what it has to be given."""

    name: str
    function: Callable[..., Tensor]
    needs_gradient: bool = True
    needs_direction: bool = False
    needs_generator: bool = False

    def score(self, reductions: Reductions, generator: Generator | None = None) -> Tensor:
        """One double per structure, in the order of the index."""
        if not self.needs_generator:
            score: Tensor = self.function(reductions)
        elif generator is None:
            raise InvalidSettingError(
                f"saliency {self.name!r} draws numbers: pass generator=torch.Generator().manual_seed(seed)"
            )
        else:
            score = self.function(reductions, generator=generator)
        if score.shape != (len(reductions.index.ids),):
            raise InvalidSettingError(
                f"saliency {self.name!r} must return one number for each of {len(reductions.index.ids)}"
                f" structures, not a tensor of shape {tuple(score.shape)}"
            )
        return score


SALIENCIES = {
    saliency.name: saliency
    for saliency in (
        Saliency("taylor", taylor),
        Saliency("documents", documents, needs_direction=True),
        Saliency("magnitude", magnitude, needs_gradient=False),
        Saliency("random", random, needs_gradient=False, needs_generator=True),
    )
}


def find(saliency: str | Saliency | Score) -> Saliency:
    """The saliency of this name; a function of `Reductions` is taken as it is.

    Raises:
        UnknownNameError: No saliency has this name.
    """
    if isinstance(saliency, Saliency):
        return saliency
    if callable(saliency):
        return Saliency(getattr(saliency, "__name__", type(saliency).__name__), saliency)
    if saliency not in SALIENCIES:
        raise UnknownNameError(f"no saliency {saliency!r}; choose one of {', '.join(SALIENCIES)}")
    return SALIENCIES[saliency]


def _ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Quotient, 0 where the denominator is 0."""
    return torch.where(denominator == 0, torch.zeros_like(numerator), numerator / denominator)
