"""Channels that are missing because they are exactly zero, and what they do: the slicing rules' words."""

from __future__ import annotations

from dataclasses import dataclass, field

from nasviz.graph.structures import Slice

__all__ = ["Passage", "Zeros"]


@dataclass(frozen=True, slots=True)
class Zeros:
    """Indices along one axis of a value at which it is exactly zero, or behind a gate one constant."""

    axis: int
    rows: tuple[int, ...]
    size: int
    """Length of the axis in the full network."""
    value: float = 0.0
    """What it is there."""

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
    retyped: dict[str, int | float] = field(default_factory=dict)
    """New attributes of its module, or literals of its call: `size:AXIS` of a reshape, `piece:NUMBER` of a
    split, `slice_start` and `slice_end`, `scale` of attention."""
    kept: tuple[int, int] = (1, 1)
    """Share of its multiply-accumulates that stays, as a fraction."""
