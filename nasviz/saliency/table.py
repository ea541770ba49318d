"""Saliency scores by name, and what else may stand for one."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from nasviz import catalog
from nasviz.catalog import SaliencyEntry
from nasviz.catalog.saliencies import COPY
from nasviz.errors import InvalidSettingError, UnknownNameError
from nasviz.extensions import load_extensions
from nasviz.saliency.probe import Proxy
from nasviz.saliency.reductions import Reductions
from nasviz.saliency.scores import Saliency, Score

__all__ = ["SALIENCIES", "AnySaliency", "find", "find_for_steps"]

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
