"""Channels in another order, followed through shuffles, chunks and windows that are no rows of one axis.

A channel shuffle views channels as a table, turns it and views it as channels again; a chunk takes a part of
them. Where what is missing lies unevenly, none of these can be done to the live channels alone. But together
they only say which channel comes where: the value at their end is picked from the value at their start.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from math import prod

from nasviz.graph.operators.moves import Copied, Cut, Reshaped, Shuffled, Turned, Window
from nasviz.graph.operators.propagation import Zeros
from nasviz.graph.operators.rules import Move

__all__ = ["Gather", "IndexMap", "follow", "gathered"]


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
    move: Move | str | None, before: IndexMap, shape: tuple[int, ...]
) -> IndexMap | tuple[IndexMap | None, ...] | None:
    """Return where channels are after one more move, or in the pieces that it makes; `None` without a rule.

    Args:
        move: Of a vertex of one operand.
        before: Of its operand.
        shape: Of its operand, in the full network.
    """
    match move:
        case Copied():
            return before
        case Reshaped():
            return _reshaped(before, shape, move.shape)
        case Turned():
            return _turned(move.order, before)
        case Shuffled():
            return _shuffled(move.groups, before)
        case Cut() if not move.drops and 0 <= (axis := move.axis - before.axis) < len(before.lengths):
            return tuple(before.taken(axis, tuple(range(*bounds))) for bounds in move.bounds) or None
        case Window(step=int(step)) if 0 <= (axis := move.axis - before.axis) < len(before.lengths):
            return before.taken(axis, tuple(range(move.first, move.last, step)))
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


def _turned(order: tuple[int | None, ...], before: IndexMap) -> IndexMap | None:
    """Only the axes that hold channels may change places."""
    mine = range(before.axis, before.axis + len(before.lengths))
    if any(
        (old in mine) != (new in mine) or (old != new and new not in mine) for new, old in enumerate(order)
    ):
        return None
    return before.turned(tuple(old - before.axis for old in order if old is not None and old in mine))


def _shuffled(groups: int, before: IndexMap) -> IndexMap | None:
    if before.axis != 1 or len(before.lengths) != 1:
        return None
    (channels,) = before.lengths
    table = replace(before, lengths=(groups, channels // groups)).turned((1, 0))
    return replace(table, lengths=before.lengths)
