"""Colours of all drawings and their meanings.

States use the Okabe-Ito colours, which remain distinguishable under colour blindness, and each state also has
its own line style. Scores use nine steps of cividis, costs nine of viridis; both increase evenly in
lightness, so their order survives greyscale printing.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isfinite

__all__ = ["BINS", "CIVIDIS", "ORIGINS", "ROLES", "STATES", "VIRIDIS", "Mark", "bin_edges", "to_bins"]

BINS = 9

CIVIDIS = (
    "#00224e", "#15346f", "#43496d", "#61606f", "#7c7b78", "#999376", "#b9ac6e", "#dac75d", "#fee838",
)  # fmt: skip
VIRIDIS = (
    "#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725",
)  # fmt: skip
ORIGINS = (
    ("#bcdcf2", "#1c4f73"), ("#fbd9b0", "#6f4712"), ("#c5e8da", "#1b5a46"),
    ("#f0cfe1", "#5f3350"), ("#f6eeb0", "#5d5619"), ("#d6d3ef", "#3f3a70"),
)  # fmt: skip
"""Colours of the origins of columns, for light and dark themes; a text names each origin too."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Style of a vertex: CSS class, meaning, colours for light and dark themes, line style."""

    name: str
    meaning: str
    light: str
    dark: str
    line: str
    """Line style that identifies it without colour."""


STATES: Mapping[str, Mark] = {
    mark.name: mark
    for mark in (
        Mark("erased", "erased", "#d55e00", "#ff8a3d", "dashed, struck through"),
        Mark("dead-end", "dead end: no longer read", "#8c6d46", "#c9a878", "dotted, struck through"),
        Mark("zero", "zero: its whole group, not removed yet", "#d55e00", "#ff8a3d", "dash-dotted"),
        Mark("sliced", "sliced: some rows or columns are removed", "#0072b2", "#56b4e9", "hatched"),
        Mark("bypassed", "bypassed: only one operand remains", "#6b7280", "#9ca3af", "long dashes"),
        Mark("materialised", "zeros restored before it", "#009e73", "#2fd6a6", "dotted"),
        Mark("selected", "selected for removal", "#cc79a7", "#e8a3c8", "thick"),
        Mark("current", "current step of the algorithm", "#009e73", "#2fd6a6", "very thick"),
        Mark("leading", "strongest operation of its edge", "#009e73", "#2fd6a6", "thick"),
        Mark("protected", "protected from removal", "#1f2937", "#f3f4f6", "double border"),
        Mark("ancestor", "leads to the chosen vertex", "#0072b2", "#56b4e9", "thick"),
        Mark("descendant", "depends on the chosen vertex", "#e69f00", "#f5bd48", "thick"),
    )
}
"""States of a vertex: Okabe-Ito colours, with lighter variants for dark themes."""

ROLES: Mapping[str, Mark] = {
    mark.name: mark
    for mark in (
        Mark("stem", "convolution or linear", "#dbe9f6", "#1d3a57", "plain"),
        Mark("norm", "normalization", "#e9e4f5", "#38305a", "plain"),
        Mark("accessory", "acts on each channel separately", "#eef2ee", "#2b3a33", "plain"),
        Mark("shape", "rearranges values", "#f3f4f6", "#2c313a", "plain"),
        Mark("joint", "joint: two or more operands", "#fdf3dc", "#4a3d1c", "circle or diamond"),
        Mark("unknown", "not in the operator table", "#fbe6e1", "#4f2a23", "plain"),
        Mark("module", "module, closed", "#e3eff0", "#1f4247", "thick"),
        Mark("removable", "removal structure", "#d8f0e6", "#164636", "thick"),
        Mark("gate", "gate: replaceable by a constant", "#fbe3ee", "#552a42", "dashed"),
        Mark("kept", "segment that cannot be removed", "#f3f4f6", "#2c313a", "plain"),
        Mark("port", "input or output", "#374151", "#d1d5db", "pill"),
    )
}
"""Fill of a vertex by its role."""


def bin_edges(values: Iterable[float], bins: int = BINS) -> tuple[float, ...]:
    """Return up to `bins - 1` distinct quantiles of the values.

    Quantiles, unlike equal widths, keep one huge layer from giving all others the same colour.

    Examples:
        >>> bin_edges([1, 2, 3, 4], bins=2)
        (3,)
    """
    ordered = sorted({value for value in values if isfinite(value)})
    limits = {ordered[len(ordered) * i // bins] for i in range(1, bins)} if ordered else set()
    return tuple(sorted(limits - {ordered[0]})) if ordered else ()


def to_bins(values: Mapping[str, float], bins: int = BINS) -> dict[str, int]:
    """Return a bin for each value, from 0 (smallest) to `bins - 1` (largest).

    Equal values share a bin; non-finite values have none.

    Examples:
        >>> to_bins({"a": 1.0, "b": 5.0, "c": float("nan")})
        {'a': 0, 'b': 8}
    """
    limits = bin_edges(values.values(), bins)
    # With fewer values than bins, spread them over the whole scale.
    scale = (bins - 1) / len(limits) if limits else 0
    return {key: round(bisect_right(limits, v) * scale) for key, v in values.items() if isfinite(v)}
