"""Channels in another order, followed through shuffles, chunks and windows that are no rows of one axis.

A channel shuffle views channels as a table, turns it and views it as channels again; a chunk takes a part of
them. Where what is missing lies unevenly, none of these can be done to the live channels alone. But together
they only say which channel comes where: the value at their end is picked from the value at their start.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from math import prod

from nasviz.graph.operators.axis_rules import pieces_of, window_of
from nasviz.graph.operators.propagation import Zeros
from nasviz.graph.trace_graph import Vertex

__all__ = ["Gather", "IndexMap", "follow", "gathered"]

_COPIES = ("alias", "clone", "contiguous", "detach")
_RESHAPES = ("view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze")


@dataclass(frozen=True, slots=True)
class Gather:
    """A value that is picked from the live channels of an earlier one."""

    vertex: str
    """Whose value it is."""
    source: str
    """The earlier vertex."""
    axis: int
    index: tuple[int, ...]
    """Places among the live channels of `source`."""


@dataclass(frozen=True, slots=True)
class IndexMap:
    """A value whose axes from `axis` on hold channels of `origin`; its other axes are those of `origin`."""

    origin: str
    """The vertex whose missing channels were not followed further."""
    root: str
    """The vertex that reads it: gets all of it back where somebody needs a value in between."""
    axis: int
    lengths: tuple[int, ...]
    """Of the axes that hold channels."""
    places: tuple[int, ...]
    """Channel of `origin` at every place, row by row."""

    @classmethod
    def start(cls, origin: str, root: str, zeros: Zeros) -> IndexMap:
        """All channels in their order."""
        return cls(origin, root, zeros.axis, (zeros.size,), tuple(range(zeros.size)))

    def taken(self, axis: int, indices: tuple[int, ...]) -> IndexMap | None:
        """With these indices only along one of its axes; `None` where there are none.

        Examples:
            >>> IndexMap("a", "b", 1, (2, 3), tuple(range(6))).taken(1, (2, 0)).places
            (2, 0, 5, 3)
        """
        if not indices:
            return None
        lengths = (*self.lengths[:axis], len(indices), *self.lengths[axis + 1 :])
        inner, length = prod(self.lengths[axis + 1 :]), self.lengths[axis]
        places = tuple(
            self.places[(outer * length + index) * inner + offset]
            for outer in range(prod(self.lengths[:axis]))
            for index in indices
            for offset in range(inner)
        )
        return replace(self, lengths=lengths, places=places)

    def turned(self, order: tuple[int, ...]) -> IndexMap:
        """With its axes in another order.

        Examples:
            >>> IndexMap("a", "b", 1, (2, 3), tuple(range(6))).turned((1, 0)).places
            (0, 3, 1, 4, 2, 5)
        """
        lengths = tuple(self.lengths[axis] for axis in order)
        strides = [prod(self.lengths[axis + 1 :]) for axis in order]
        places = tuple(
            self.places[sum(i * stride for i, stride in zip(place, strides, strict=True))]
            for place in product(*map(range, lengths))
        )
        return replace(self, lengths=lengths, places=places)


def follow(
    vertex: Vertex, before: IndexMap, shape: tuple[int, ...]
) -> IndexMap | tuple[IndexMap | None, ...] | None:
    """Where channels are after one more vertex, or in the pieces that it makes; `None` where no rule tells.

    Args:
        vertex: No joint.
        before: Of its operand.
        shape: Of its operand, in the full network.
    """
    if vertex.operator in _COPIES:
        return before
    if vertex.operator in _RESHAPES:
        return _reshaped(before, shape, vertex.shape)
    if vertex.operator in ("permute", "transpose", "swapaxes"):
        return _turned(vertex, before, len(shape))
    if vertex.operator == "channel_shuffle":
        return _shuffled(vertex, before)
    dim = vertex.attributes.get("dim")
    if not isinstance(dim, int) or not 0 <= (axis := dim - before.axis) < len(before.lengths):
        return None
    length = before.lengths[axis]
    if vertex.operator in ("chunk", "split", "split_with_sizes"):
        bounds = pieces_of(vertex, length)
        return tuple(before.taken(axis, tuple(range(*bound))) for bound in bounds) or None
    if vertex.operator == "slice":
        step = vertex.attributes.get("step")
        if not isinstance(step, int):
            return None
        return before.taken(axis, tuple(range(*window_of(vertex, length), step)))
    return None


def gathered(vertex: str, after: IndexMap, zeros: Zeros) -> tuple[Gather, Zeros | None] | None:
    """The value as picked from its origin, with what is missing in it; `None` where nothing in it lives.

    Args:
        vertex: Whose value it is.
        after: Of this value; its channels lie along one axis.
        zeros: Of the origin.
    """
    numbers = zeros.numbers
    live = (channel for channel in range(zeros.size) if channel not in numbers)
    narrow = {channel: place for place, channel in enumerate(live)}
    index = tuple(narrow[channel] for channel in after.places if channel in narrow)
    if not index:
        return None
    gone = {place: numbers[channel] for place, channel in enumerate(after.places) if channel in numbers}
    left = Zeros(after.axis, tuple(gone), len(after.places)).holding(gone) if gone else None
    return Gather(vertex, after.origin, zeros.axis, index), left


def _reshaped(before: IndexMap, old: tuple[int, ...], new: tuple[int, ...]) -> IndexMap | None:
    """Only the axes that hold channels may change."""
    ahead, behind = old[: before.axis], old[before.axis + len(before.lengths) :]
    lengths = new[before.axis : len(new) - len(behind)]
    if (*ahead, *lengths, *behind) != new or prod(lengths) != len(before.places):
        return None
    return replace(before, lengths=lengths)


def _turned(vertex: Vertex, before: IndexMap, rank: int) -> IndexMap | None:
    """Only the axes that hold channels may change places."""
    dims = vertex.attributes.get("dims")
    if not isinstance(dims, tuple):
        first, second = vertex.attributes.get("dim0"), vertex.attributes.get("dim1")
        if not isinstance(first, int) or not isinstance(second, int):
            return None
        swap = {first: second, second: first}
        dims = tuple(swap.get(axis, axis) for axis in range(rank))
    mine = range(before.axis, before.axis + len(before.lengths))
    if any(
        (old in mine) != (new in mine) or (old != new and new not in mine) for new, old in enumerate(dims)
    ):
        return None
    return before.turned(tuple(old - before.axis for old in dims if old is not None and old in mine))


def _shuffled(vertex: Vertex, before: IndexMap) -> IndexMap | None:
    groups = vertex.attributes.get("groups")
    if before.axis != 1 or len(before.lengths) != 1 or not isinstance(groups, int):
        return None
    (channels,) = before.lengths
    table = replace(before, lengths=(groups, channels // groups)).turned((1, 0))
    return replace(table, lengths=before.lengths)
