"""Channels that are exactly zero, and what they do to a vertex: the words of the slicing rules."""

from __future__ import annotations

from dataclasses import dataclass, field

from nasviz.graph.structures import Slice

__all__ = ["Passage", "Zeros"]


@dataclass(frozen=True, slots=True)
class Zeros:
    """Indices along one axis of a value at which it is exactly zero."""

    axis: int
    rows: tuple[int, ...]
    size: int
    """Length of the axis in the full network."""

    def spread(self, factor: int) -> tuple[int, ...]:
        """The rows when each of them becomes `factor` neighbouring ones."""
        return tuple(row * factor + offset for row in self.rows for offset in range(factor))


@dataclass(frozen=True, slots=True)
class Passage:
    """What zero channels do to one vertex."""

    zeros: Zeros | None
    """Those of its output; `None` when the output is whole again."""
    slices: tuple[Slice, ...] = ()
    """Rows to cut from its tensors."""
    entailed: tuple[Slice, ...] = ()
    """Rows that must be zero for the zeros to pass."""
    retyped: dict[str, int] = field(default_factory=dict)
    """New attributes of its module, or literals of its call: `size:AXIS` of a reshape, `split_size`,
    `slice_start` and `slice_end`."""
    kept: tuple[int, int] = (1, 1)
    """Share of its multiply-accumulates that stays, as a fraction."""
