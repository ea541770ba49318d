"""Saliency scores of removal structures, and how they are found by name.

A score is a pure function of `Reductions`; the smallest are redundant (ASGNAS, Algorithm 3, line 5). The
default is SNIP, chosen by a comparison on digits (README, "Measured"); `documents` is the formula of ASGNAS,
section 3.2 (cosine similarity and average magnitude). The average magnitude is nearly proportional to
1 / |g|, so `documents` and `magnitude` prefer large structures if sizes differ much.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch
from torch import Generator, Tensor

from nasviz import catalog
from nasviz.catalog import SaliencyEntry
from nasviz.catalog.saliencies import COPY
from nasviz.errors import InvalidSettingError, UnknownNameError
from nasviz.extensions import load_extensions
from nasviz.saliency.probe import Proxy
from nasviz.saliency.reductions import Reductions, StructureIndex, gradients

__all__ = [
    "SALIENCIES",
    "AnySaliency",
    "Saliency",
    "Score",
    "cosine",
    "documents",
    "find",
    "find_for_steps",
    "gradient_cosine",
    "hesso",
    "magnitude",
    "random",
    "running_average",
    "snip",
    "taylor",
]

Score = Callable[[Reductions], Tensor]


def taylor(reductions: Reductions) -> Tensor:
    """|<x_g, grad f_g>|: first-order change of the loss when a structure is set to zero."""
    return reductions.gradient_dot.abs()


def magnitude(reductions: Reductions) -> Tensor:
    """a_g = ||x_g|| / |g|, the average magnitude of a structure's variables."""
    return _ratio(reductions.norm, reductions.num_parameters)


def documents(reductions: Reductions) -> Tensor:
    """Average magnitude minus cosine, each normalized over all structures (ASGNAS, section 3.2).

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
    average, aligned = magnitude(reductions), _cosine(reductions)
    return (_ratio(average, average.norm()) - _ratio(aligned, aligned.norm())) / 2


def random(reductions: Reductions, *, generator: Generator) -> Tensor:
    """Uniform numbers in [0, 1), as a baseline."""
    ids = reductions.index.ids
    drawn = torch.rand(len(ids), generator=generator, device=generator.device, dtype=torch.float64)
    return drawn.to(reductions.index.device)


def cosine(reductions: Reductions) -> Tensor:
    """-cos(x_g, d_g): lowest where a step already points from the structure to zero (OTOv3, section 3.2)."""
    return -_cosine(reductions)


@torch.no_grad()
def gradient_cosine(index: StructureIndex) -> Tensor:
    """Return the current cos(x_g, grad f_g) of each structure, 0 if one of both is zero.

    Call this between a backward pass and the step. Before a normalization layer it is nearly zero.

    Examples:
        >>> x = torch.tensor([3.0, 4.0], requires_grad=True)
        >>> x.grad = torch.tensor([4.0, 3.0])
        >>> gradient_cosine(StructureIndex({1: [x]})).tolist()
        [0.96]
    """
    dots, norms, directions = index.dot_and_norms(index.tensors, gradients(index.tensors))
    return _ratio(dots, norms * directions)


def snip(reductions: Reductions) -> Tensor:
    """Sum of |x_i df/dx_i|: sensitivity of the loss to each variable of a structure (SNIP)."""
    return reductions.gradient_sensitivity


def hesso(reductions: Reductions) -> Tensor:
    """Mean of five scores, each divided by its norm over all structures (HESSO's public code).

    They are the norm, the average magnitude, 1 - cos(x_g, d_g), |<x_g, d_g>| and half its square. HESSO's
    code has 1 + cos instead, which keeps structures that the steps are about to remove.
    """
    first_order = reductions.direction_dot.abs()
    terms = (
        reductions.norm,
        magnitude(reductions),
        1 - _cosine(reductions),
        first_order,
        first_order.square() / 2,
    )
    return torch.stack([_ratio(term, term.norm()) for term in terms]).mean(dim=0)


def running_average(average: Tensor | None, sample: Tensor, momentum: float) -> Tensor:
    """Return the exponential average of the scores over the warm-up (OTOv3, Algorithm 3).

    Examples:
        >>> first = running_average(None, torch.tensor([1.0, 4.0]), 0.9)
        >>> running_average(first, torch.tensor([2.0, 4.0]), 0.9).tolist()
        [1.100000023841858, 4.0]
    """
    return sample if average is None else torch.lerp(sample, average, momentum)


@dataclass(frozen=True, slots=True)
class Saliency:
    """A named score with its requirements."""

    name: str
    function: Callable[..., Tensor]
    needs_gradient: bool = True
    needs_direction: bool = False
    needs_generator: bool = False

    @property
    def needs_batches(self) -> bool:
        """Whether the score needs data."""
        return self.needs_gradient

    def score(self, reductions: Reductions, generator: Generator | None = None) -> Tensor:
        """Return one double per structure, in the order of the index."""
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
                f"saliency {self.name!r} must return one number per structure, shape"
                f" ({len(reductions.index.ids)},), not a tensor of shape {tuple(score.shape)}"
            )
        return score


def _cosine(reductions: Reductions) -> Tensor:
    """Return c_g = cos(x_g, d_g), 0 if one of both is zero."""
    return _ratio(reductions.direction_dot, reductions.norm * reductions.direction_norm)


def _ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Return the quotient, 0 where the denominator is 0."""
    return torch.where(denominator == 0, torch.zeros_like(numerator), numerator / denominator)


AnySaliency = str | Saliency | Score | Mapping[int, float]
"""A name, a score, a function of `Reductions`, or finished scores by structure."""


def _make(entry: SaliencyEntry) -> Saliency | Proxy:
    """Return the score that an entry of the catalog describes."""
    function: Any = entry.function
    if isinstance(function, str):
        module, _, name = function.partition(":")
        function = getattr(import_module(f"nasviz.saliency.{module}"), name)
    if entry.family == COPY:
        return Proxy(entry.name, function, entry.needs_batches)
    return Saliency(entry.name, function, entry.needs_gradient, entry.needs_direction, entry.needs_generator)


SALIENCIES: dict[str, Saliency | Proxy] = {e.name: _make(e) for e in catalog.SALIENCIES.values()}
"""By the names of the catalog; a `Saliency` can be read from an optimizer's step, a `Proxy` cannot.

Those of extensions are added when they are first looked up.
"""


def find(saliency: str | Saliency | Proxy | Score) -> Saliency | Proxy:
    """Return the saliency of this name; a function of `Reductions` is taken as it is.

    Raises:
        UnknownNameError: No saliency has this name.
    """
    if isinstance(saliency, Saliency | Proxy):
        return saliency
    if callable(saliency):
        return Saliency(getattr(saliency, "__name__", type(saliency).__name__), saliency)
    if saliency not in SALIENCIES:
        load_extensions()
        if saliency in catalog.SALIENCIES:
            SALIENCIES[saliency] = _make(catalog.SALIENCIES[saliency])
    if saliency not in SALIENCIES:
        raise UnknownNameError(f"no saliency {saliency!r}; choose one of {', '.join(SALIENCIES)}")
    return SALIENCIES[saliency]


def find_for_steps(saliency: AnySaliency) -> Saliency:
    """A saliency that can be read from an optimizer's step; finished scores are a constant one.

    Raises:
        UnknownNameError: No saliency has this name.
        InvalidSettingError: It needs passes of its own through the network.
    """
    if isinstance(saliency, Mapping):
        return _given(saliency)
    found = find(saliency)
    if isinstance(found, Proxy):
        readable = ", ".join(name for name, s in SALIENCIES.items() if isinstance(s, Saliency))
        raise InvalidSettingError(
            f"saliency {found.name!r} needs passes of its own and cannot be read from an optimizer's step:"
            f" pass saliency=nasviz.saliency.score({found.name!r}, net, space, batches), or one of {readable}"
        )
    return found


def _given(scores: Mapping[int, float]) -> Saliency:
    def given(reductions: Reductions) -> Tensor:
        if lost := [i for i in reductions.index.ids if i not in scores]:
            raise InvalidSettingError(
                f"the scores that were passed as saliency lack the structures {lost[:10]}"
            )
        found = [float(scores[i]) for i in reductions.index.ids]
        return torch.tensor(found, dtype=torch.float64).to(reductions.index.device, non_blocking=True)

    return Saliency("given", given, needs_gradient=False)
