"""A search optimizer that also slims, with the settings of the search."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from nasviz.errors import InvalidSettingError, InvalidSparsityError
from nasviz.graph import SearchSpace
from nasviz.optim.binding import SpaceBinding, count_of
from nasviz.optim.h2spg import H2SPG
from nasviz.optim.h2spg_otov3 import H2SPGOTOv3
from nasviz.optim.regularization import Regularization
from nasviz.optim.slim import Slim

__all__ = ["check_slim", "slimming"]

_SHARED = ("warmup_steps", "epsilon", "score_every", "score_momentum", "generator")


def check_slim(space: SearchSpace, slim: int | float, divisible: int) -> int:
    """How many channel groups of the whole network are asked for, after a check that they can go.

    Raises:
        InvalidSparsityError: More than every operator can spare.
        InvalidSettingError: The network has no channel groups, or widths cannot be multiples of `divisible`.
    """
    channels = space.channels
    if not isinstance(divisible, int) or divisible < 1:
        raise InvalidSettingError(f"group_divisible={divisible!r}: must be a whole number, at least 1")
    if not len(channels):
        raise InvalidSettingError(
            f"slim={slim}: this network has no channels that can be cut;"
            " `space.channels.why_not(vertex)` says why, so leave slim at 0"
        )
    count, most = count_of(slim, len(channels), "slim", "channel groups"), channels.max_groups()
    if not 0 <= count <= most and isinstance(slim, int):
        raise InvalidSparsityError(
            f"slim={slim} asks to cut {count} of {len(channels)} channel groups, but only {most} can go"
            f" before an operator has no channel left; choose at most {most}"
        )
    return min(count, most)


def slimming(
    inner: H2SPG | H2SPGOTOv3,
    binding: SpaceBinding,
    slim: int | float,
    divisible: int,
    settings: Mapping[str, Any],
) -> Slim:
    """`inner` with channel groups besides; they are scored, selected and projected as its structures are."""
    chosen = {name: settings[name] for name in _SHARED if name in settings}
    saliency = settings.get("saliency", "snip")
    if isinstance(saliency, Mapping):
        saliency = "snip"  # finished scores are of structures
    if isinstance(inner, H2SPG):
        chosen["projection"] = inner.projection
    else:
        chosen["regularization"] = Regularization(inner.regularization, inner.amplify, inner.cap)
    return Slim(
        inner,
        binding.channel_index(),
        partial(binding.select_channels, slim=slim, divisible=divisible),
        projection_steps=inner.projection_steps,
        saliency=saliency,
        **chosen,
    )
