"""Names of axes, for operators whose ranks or literals decide how axes correspond."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from nasviz.graph.operators.rules import AxisMap, AxisNames, Shape

if TYPE_CHECKING:
    from nasviz.graph.trace_graph import Vertex

__all__ = ["broadcast", "convolution", "linear"]


def broadcast(vertex: Vertex, operands: Sequence[Shape], tensors: Mapping[str, Shape]) -> AxisNames:
    """Return the axes of an operator on pairs of numbers: counted from the last, as broadcasting does."""
    return AxisNames(
        tuple(_from_last(len(shape)) for shape in operands),
        {argument: _from_last(len(shape)) for argument, shape in tensors.items()},
        _from_last(len(vertex.shape)),
    )


@lru_cache(maxsize=64)
def _from_last(rank: int) -> tuple[str, ...]:
    return tuple(f"~{place}" for place in range(rank, 0, -1))


def linear(vertex: Vertex, operands: Sequence[Shape], tensors: Mapping[str, Shape]) -> AxisNames | str:
    """Return the axes of a linear map, whose weight may be written with its inputs first."""
    if len(operands) != 1 or len(tensors["weight"]) != 2:
        return f"the weight of {vertex.name} is not a variable"
    ahead = _from_last(len(operands[0]))[:-1]
    weight = ("i", "o") if vertex.attributes.get("transposed") else ("o", "i")
    return AxisNames(((*ahead, "i"),), {"weight": weight, "bias": ("o",)}, (*ahead, "o"))


def convolution(vertex: Vertex, operands: Sequence[Shape], tensors: Mapping[str, Shape]) -> AxisNames | str:
    """Return the axes of a convolution; in groups, a group's inputs and filters go together."""
    groups, is_transposed = vertex.attributes.get("groups", 1), bool(vertex.attributes.get("transposed"))
    if len(operands) != 1 or not isinstance(groups, int) or len(operands[0]) != len(vertex.shape):
        return f"the weight of {vertex.name} is not a variable"
    spatial = ("",) * (len(vertex.shape) - 2)
    before, after = ("n", "i", *spatial), ("n", "o", *spatial)
    if groups == 1:
        weight = ("i", "o", *spatial) if is_transposed else ("o", "i", *spatial)
        sizes = {"in_channels": ("i", 1), "out_channels": ("o", 1)}
        return AxisNames((before,), {"weight": weight, "bias": ("o",)}, after, sizes=sizes)
    if is_transposed:
        return f"{vertex.name} is transposed and in groups: there is no rule for cutting it"
    width = operands[0][1] // groups
    return AxisNames(
        (before,),
        {"weight": ("o", "", *spatial), "bias": ("o",)},
        after,
        {"i": AxisMap(1, _groups(groups, width, vertex.shape[1] // groups))},
        {"in_channels": ("i", 1), "out_channels": ("o", 1), "groups": ("i", width)},
    )


@lru_cache(maxsize=64)
def _groups(groups: int, width: int, filters: int) -> tuple[tuple[int, ...], ...]:
    return tuple(
        tuple(range(group * width, (group + 1) * width)) for group in range(groups) for _ in range(filters)
    )
