"""Saliency scores by name, and what else may stand for one."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from nasviz.errors import InvalidSettingError, UnknownNameError
from nasviz.saliency.codes import naswot
from nasviz.saliency.fisher import fisher
from nasviz.saliency.probe import Proxy
from nasviz.saliency.reductions import Reductions
from nasviz.saliency.scores import (
    Saliency,
    Score,
    cosine,
    documents,
    hesso,
    magnitude,
    random,
    snip,
    taylor,
)
from nasviz.saliency.second_order import grasp, second_order_taylor
from nasviz.saliency.synflow import synflow
from nasviz.saliency.te_nas import te_nas
from nasviz.saliency.zen import zen
from nasviz.saliency.zico import zico

__all__ = ["SALIENCIES", "AnySaliency", "find", "find_for_steps"]

AnySaliency = str | Saliency | Score | Mapping[int, float]
"""A name, a score, a function of `Reductions`, or finished scores by structure."""

SALIENCIES: dict[str, Saliency | Proxy] = {
    saliency.name: saliency
    for saliency in (
        Saliency("snip", snip),
        Saliency("taylor", taylor),
        Saliency("documents", documents, needs_direction=True),
        Saliency("magnitude", magnitude, needs_gradient=False),
        Saliency("random", random, needs_gradient=False, needs_generator=True),
        Saliency("cosine", cosine, needs_direction=True),
        Saliency("hesso", hesso, needs_direction=True),
        Proxy("taylor2", second_order_taylor),
        Proxy("grasp", grasp),
        Proxy("fisher", fisher),
        Proxy("synflow", synflow, needs_batches=False),
        Proxy("zico", zico),
        Proxy("naswot", naswot, needs_batches=False),
        Proxy("zen", zen, needs_batches=False),
        Proxy("te_nas", te_nas, needs_batches=False),
    )
}
"""By the names of the catalog; a `Saliency` can be read from an optimizer's step, a `Proxy` cannot."""


def find(saliency: str | Saliency | Proxy | Score) -> Saliency | Proxy:
    """The saliency of this name; a function of `Reductions` is taken as it is.

    Raises:
        UnknownNameError: No saliency has this name.
    """
    if isinstance(saliency, Saliency | Proxy):
        return saliency
    if callable(saliency):
        return Saliency(getattr(saliency, "__name__", type(saliency).__name__), saliency)
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
