"""Where zero channels are after a reshape: index maps of `view`, `flatten`, `unflatten` and their like.

A reshape keeps the order of the numbers. Axes before and after fall into groups of equal length, as `(2, 6)`
and `(2, 3, 2)` fall into 2 | 6 and 2 | 3 x 2; within its group, an axis that is partly zero may become an
axis that is partly zero again, be spread over a longer one, or be torn apart.
"""

from __future__ import annotations

from math import prod

__all__ = ["reshaped_rows"]

_LONGEST = 1 << 22
"""A group of more numbers than this is not followed: its rows are listed one by one."""


def reshaped_rows(
    axis: int, rows: tuple[int, ...], before: tuple[int, ...], after: tuple[int, ...]
) -> tuple[int, tuple[int, ...]] | None:
    """Axis and rows, after a reshape, of the numbers at `rows` of `axis` before it.

    Only the first axis may be the batch (-1), before as after. `None` where the numbers are no rows of one
    axis any more.

    Examples:
        >>> reshaped_rows(1, (2,), (-1, 3, 2, 2), (-1, 12))
        (1, (8, 9, 10, 11))
        >>> reshaped_rows(1, (2, 3), (-1, 6), (-1, 3, 2))
        (1, (1,))
        >>> reshaped_rows(1, (1, 2), (-1, 6), (-1, 3, 2)) is None
        True
    """
    group = _aligned(axis, before, after)
    if group is None:
        return None
    old, new = group
    length = prod(before[i] for i in old)
    if length > _LONGEST:
        return None
    inner = prod(before[i] for i in old if i > axis)
    size, outer = before[axis], length // (inner * before[axis])
    places = {
        (block * size + row) * inner + offset
        for block in range(outer)
        for row in rows
        for offset in range(inner)
    }
    for candidate in new:
        step = prod(after[i] for i in new if i > candidate)
        hit = {place // step % after[candidate] for place in places}
        if len(hit) * (length // after[candidate]) == len(places):
            return candidate, tuple(sorted(hit))
    return None


def _aligned(
    axis: int, before: tuple[int, ...], after: tuple[int, ...]
) -> tuple[list[int], list[int]] | None:
    """The smallest groups of axes, before and after, that hold `axis` and the same numbers."""
    start = 1 if before[:1] == after[:1] == (-1,) else 0
    if axis < start or min(*before[start:], *after[start:], 1) < 1:
        return None
    if prod(before[start:]) != prod(after[start:]):
        return None
    left, right = start, start
    while left < len(before) and right < len(after):
        old, new = [left], [right]
        while (ours := prod(before[i] for i in old)) != (theirs := prod(after[i] for i in new)):
            if ours < theirs:
                old.append(old[-1] + 1)
            else:
                new.append(new[-1] + 1)
        left, right = old[-1] + 1, new[-1] + 1
        if axis in old:
            return old, new
    return None
