"""Channels that are missing because they are zero, or another constant, and what they do to a vertex."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from nasviz.graph.trace_graph import Slice

__all__ = ["Fold", "Passage", "Zeros"]


@dataclass(frozen=True, slots=True)
class Zeros:
    """Indices along one axis of a value at which it is exactly zero, or what an operator made of zero."""

    axis: int
    rows: tuple[int, ...]
    size: int
    """Length of the axis in the full network."""
    values: tuple[float, ...] = ()
    """What it is at each of the rows; empty where it is zero at all of them."""

    @property
    def is_zero(self) -> bool:
        """Whether all rows are zero."""
        return not self.values

    @property
    def numbers(self) -> dict[int, float]:
        """What the value is at each row."""
        return dict(zip(self.rows, self.values or (0.0,) * len(self.rows), strict=True))

    def holding(self, numbers: Mapping[int, float]) -> Zeros:
        """The same rows with these values.

        Examples:
            >>> Zeros(1, (2, 3), 4).holding({2: 0.0, 3: 0.5}).values
            (0.0, 0.5)
        """
        values = tuple(numbers[row] for row in self.rows)
        return replace(self, values=values if any(values) else ())


@dataclass(frozen=True, slots=True)
class Fold:
    """Columns of a weight that meet a constant: what they make of it goes into the bias."""

    vertex: str
    """The linear map or convolution; it gets a bias where it has none."""
    rows: tuple[int, ...]
    """Columns of its weight, in indices of the full network."""
    values: tuple[float, ...]
    """The constant that each of them meets."""


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
    fold: Fold | None = None
    """What goes into its bias."""
