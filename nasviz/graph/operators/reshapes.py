"""Where zero channels are after a reshape: index maps of `view`, `flatten`, `unflatten` and their like.

A reshape keeps the order of the numbers. Read from their ends, axes before and after fall into groups of
equal length, as `(2, 6)` and `(2, 3, 2)` fall into 2 | 6 and 2 | 3 x 2; within its group, an axis that is
partly zero may become an axis that is partly zero again, be spread over a longer one, or be torn apart. The
batch may take in the front of a group or hand it out, as where heads are counted as further samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

__all__ = ["LONGEST", "AxisGroup", "aligned", "places_of", "reshaped_rows"]

LONGEST = 1 << 22
"""A group of more numbers than this is not followed: its rows are listed one by one."""


@dataclass(frozen=True, slots=True)
class AxisGroup:
    """Neighbouring axes before and after a reshape that hold the same numbers in the same order."""

    size: int
    """Length of the axis that is followed."""
    stride: int
    """Numbers from one index along it to the next."""
    length: int
    """Numbers in the group."""
    after: dict[int, tuple[int, int]]
    """Size and stride of each axis after the reshape; the batch is none of them."""


def reshaped_rows(
    axis: int, rows: tuple[int, ...], before: tuple[int, ...], after: tuple[int, ...]
) -> tuple[int, tuple[int, ...]] | None:
    """Axis and rows, after a reshape, of the numbers at `rows` of `axis` before it.

    The batch is the axis of length -1. `None` where the numbers are no rows of one axis any more.

    Examples:
        >>> reshaped_rows(1, (2,), (-1, 3, 2, 2), (-1, 12))
        (1, (8, 9, 10, 11))
        >>> reshaped_rows(1, (2, 3), (-1, 6), (-1, 3, 2))
        (1, (1,))
        >>> reshaped_rows(1, (1, 2), (-1, 6), (-1, 3, 2)) is None
        True
        >>> reshaped_rows(2, (1, 3, 5), (7, -1, 6), (7, -1, 2))
        (2, (1,))
    """
    group = aligned(axis, before, after)
    if group is None or group.length > LONGEST:
        return None
    places = {
        (block * group.size + row) * group.stride + offset
        for block in range(group.length // (group.size * group.stride))
        for row in rows
        for offset in range(group.stride)
    }
    for candidate, (size, stride) in group.after.items():
        hit = {place // stride % size for place in places}
        if len(hit) * (group.length // size) == len(places):
            return candidate, tuple(sorted(hit))
    return None


def places_of(group: AxisGroup, axis: int) -> list[tuple[int, int]]:
    """Which index along the axis that is followed meets which along `axis` after the reshape, each pair once.

    Examples:
        >>> group = aligned(1, (-1, 4), (-1, 2, 2))
        >>> places_of(group, 1), places_of(group, 2)
        ([(0, 0), (1, 0), (2, 1), (3, 1)], [(0, 0), (1, 1), (2, 0), (3, 1)])
    """
    size, stride = group.after[axis]
    pairs = ((n // group.stride % group.size, n // stride % size) for n in range(group.length))
    return list(dict.fromkeys(pairs))


def aligned(axis: int, before: tuple[int, ...], after: tuple[int, ...]) -> AxisGroup | None:
    """The smallest group that holds `axis`; `None` where there is none."""
    left, right = len(before) - 1, len(after) - 1
    while left >= 0 and right >= 0:
        old, new = [left], [right]
        ours, theirs = before[left], after[right]
        while ours != theirs and min(ours, theirs) > 0:
            axes, shape = (old, before) if ours < theirs else (new, after)
            if axes[-1] == 0:
                return None
            if shape[axes[-1] - 1] < 1:  # the batch: it takes in, or hands out, the front of the group
                return _group(axis, before, after, old, new, max(ours, theirs), min(ours, theirs))
            axes.append(axes[-1] - 1)
            ours, theirs = prod(before[i] for i in old), prod(after[i] for i in new)
        if ours != theirs:
            return None
        if axis in old:
            return _group(axis, before, after, old, new, ours, ours)
        left, right = old[-1] - 1, new[-1] - 1
    return None


def _group(
    axis: int,
    before: tuple[int, ...],
    after: tuple[int, ...],
    old: list[int],
    new: list[int],
    length: int,
    shorter: int,
) -> AxisGroup | None:
    if axis not in old or shorter < 1 or length % shorter:
        return None
    sizes = {i: (after[i], prod(after[k] for k in new if k > i)) for i in reversed(new)}
    return AxisGroup(before[axis], prod(before[i] for i in old if i > axis), length, sizes)
