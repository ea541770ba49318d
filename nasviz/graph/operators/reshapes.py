"""Where zero channels are after a reshape: index maps of `view`, `flatten`, `unflatten` and their like.

A reshape keeps the order of the numbers. Read from their ends, axes before and after fall into groups of
equal length, as `(2, 6)` and `(2, 3, 2)` fall into 2 | 6 and 2 | 3 x 2; within its group, an axis that is
partly zero may become an axis that is partly zero again, be spread over a longer one, or be torn apart. The
batch may take in the front of a group or hand it out, as where heads are counted as further samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import gcd, prod

__all__ = ["LONGEST", "AxisGroup", "aligned", "sources_of"]

LONGEST = 1 << 22
"""A group of more numbers than this is not followed: its indices are listed one by one."""
_LONGEST_KEPT = 1 << 16
"""Maps of longer groups are made again each time, rather than kept in memory."""


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


def sources_of(group: AxisGroup, axis: int) -> tuple[tuple[int, ...], ...]:
    """Return for each index along `axis`, after the reshape, the indices of the followed axis that it meets.

    Examples:
        >>> group = aligned(1, (-1, 4), (-1, 2, 2))
        >>> sources_of(group, 1), sources_of(group, 2)
        (((0, 1), (2, 3)), ((0, 2), (1, 3)))
        >>> sources_of(aligned(1, (-1, 3, 2, 2), (-1, 12)), 1)[4:9]
        ((1,), (1,), (1,), (1,), (2,))
    """
    size, stride = group.after[axis]
    made = _sources.__wrapped__ if group.length > _LONGEST_KEPT else _sources
    return made(group.size, group.stride, size, stride, group.length)


@lru_cache(maxsize=256)
def _sources(
    size: int, stride: int, after_size: int, after_stride: int, length: int
) -> tuple[tuple[int, ...], ...]:
    step = gcd(stride, after_stride)  # both axes are constant along that many numbers
    stride, after_stride = stride // step, after_stride // step
    found: list[dict[int, None]] = [{} for _ in range(after_size)]
    for n in range(length // step):
        found[n // after_stride % after_size][n // stride % size] = None
    return tuple(tuple(indices) for indices in found)


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
