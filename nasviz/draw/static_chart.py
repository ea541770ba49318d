"""Charts as static SVG, for reports and files that must not carry the 4 MB of the interactive library.

Covers what the charts here use: lines and markers on linear, logarithmic and category axes, in a grid.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Any

import plotly.graph_objects as go

from nasviz.draw.labels import clean, count

__all__ = ["static_svg"]

WIDTH = 960
_MARGIN = {"left": 66, "right": 14, "top": 34, "bottom": 54}
_DASHES = {
    "dash": "9 5",
    "dot": "2 4",
    "dashdot": "9 4 2 4",
    "longdash": "14 6",
    "longdashdot": "14 5 2 5",
}
_LEGEND_ROW, _CHARACTER = 20, 7.0
_POWERS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_TEXT = 'font-family="sans-serif" font-size="12.5" fill="currentColor"'
_GRID = 'stroke="#888888" stroke-opacity="0.3" fill="none"'


@dataclass(frozen=True)
class _Axis:
    """Scale of one axis on a span of pixels."""

    kind: str
    low: float
    high: float
    start: float
    end: float
    names: tuple[str, ...] = ()
    is_percent: bool = False

    def place(self, value: Any) -> float | None:
        """Return the pixel of a value; None if it has no place."""
        number = self.names.index(str(value)) if self.kind == "category" else float(value)
        if self.kind == "log":
            if number <= 0:
                return None
            number = math.log10(number)
        if not math.isfinite(number):
            return None
        return self._at(number)

    def ticks(self) -> list[tuple[float, str]]:
        """Return pixels and texts of about five ticks."""
        if self.kind == "category":
            every = max(1, -(-len(self.names) // 24))
            return [(self._at(self.names.index(name)), name) for name in self.names[::every]]
        span = (self.high - self.low) or 1.0
        if self.kind == "log" and span >= 1:
            step = max(1, round(span / 5))
            powers = range(math.ceil(self.low), math.floor(self.high) + 1, step)
            return [(self._at(power), _power(power)) for power in powers]
        raw = 10 ** math.floor(math.log10(span / 4))
        stride = next(raw * factor for factor in (1, 2, 5, 10) if raw * factor >= span / 6)
        first, last = math.ceil(self.low / stride - 1e-9), math.floor(self.high / stride + 1e-9)
        return [(self._at(n * stride), self._label(n * stride)) for n in range(first, last + 1)]

    def _at(self, number: float) -> float:
        return self.start + (number - self.low) / ((self.high - self.low) or 1.0) * (self.end - self.start)

    def _label(self, number: float) -> str:
        if self.kind == "log":
            return f"{10**number:.2g}"
        return f"{100 * number:.4g}%" if self.is_percent else count(float(f"{number:.6g}"))


def static_svg(figure: go.Figure, *, width: int = WIDTH) -> str:
    """Return a chart as SVG text, in the colour of the text around it.

    Examples:
        >>> figure = go.Figure(go.Scatter(x=[0, 1], y=[0.5, 1.0], name="a"))
        >>> static_svg(figure).count("<polyline")
        1
    """
    traces = [trace for trace in figure.data if trace.x is not None and len(trace.x)]
    names = list(dict.fromkeys(t.name for t in traces if t.name and t.showlegend is not False))
    legend, rows = _legend([(n, next(t for t in traces if t.name == n)) for n in names], width)
    height = float(figure.layout.height or 420) - 40 + rows * _LEGEND_ROW
    bottom = height - rows * _LEGEND_ROW - 8
    parts: list[str] = []
    for x_name, y_name in dict.fromkeys((t.xaxis or "x", t.yaxis or "y") for t in traces):
        x = _axis(figure, traces, x_name, "x", (_MARGIN["left"], width - _MARGIN["right"]))
        y = _axis(figure, traces, y_name, "y", (bottom - _MARGIN["bottom"], _MARGIN["top"]))
        parts += _frame(x, y, figure, x_name, y_name)
        for trace in traces:
            if (trace.xaxis or "x", trace.yaxis or "y") == (x_name, y_name):
                parts += _trace(trace, x, y)
    parts += _titles(figure, width, bottom)
    parts.append(f'<g transform="translate(0 {bottom + 6:.0f})">{"".join(legend)}</g>')
    box = f'viewBox="0 0 {width} {height:.0f}" role="img"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {box} {_TEXT}>{"".join(parts)}</svg>'


def _layout_of(figure: go.Figure, name: str, letter: str) -> Any:
    return figure.layout[f"{letter}axis{name[1:]}"]


def _axis(
    figure: go.Figure, traces: Sequence[Any], name: str, letter: str, span: tuple[float, float]
) -> _Axis:
    """Return the scale of an axis, which fits all axes that it matches."""
    layout = _layout_of(figure, name, letter)
    leader = layout.matches or name
    used = {t[f"{letter}axis"] or letter for t in traces}
    axes = {n for n in used if (_layout_of(figure, n, letter).matches or n) == leader}
    values = [v for t in traces if (t[f"{letter}axis"] or letter) in axes for v in t[letter] if v is not None]
    first, last = layout.domain or (0, 1)
    start, end = (span[0] + share * (span[1] - span[0]) for share in (first, last))
    kind = layout.type or ("category" if values and isinstance(values[0], str) else "linear")
    if kind == "category":
        names = tuple(dict.fromkeys(map(str, values)))
        return _Axis(kind, -0.5, len(names) - 0.5, start, end, names)
    numbers = [float(v) for v in values if math.isfinite(float(v))]
    if kind == "log":
        numbers = [math.log10(v) for v in numbers if v > 0]
    low, high = (min(numbers), max(numbers)) if numbers else (0.0, 1.0)
    if layout.range is not None:
        low, high = layout.range
    elif letter == "y":
        margin = 0.06 * (high - low) or 0.5
        low, high = (0.0 if layout.rangemode == "tozero" else low - margin), high + margin
    return _Axis(kind, low, high, start, end, is_percent="%" in (layout.tickformat or ""))


def _frame(x: _Axis, y: _Axis, figure: go.Figure, x_name: str, y_name: str) -> list[str]:
    """Return grid, tick texts and axis titles of one chart."""
    parts = []
    x_layout, y_layout = _layout_of(figure, x_name, "x"), _layout_of(figure, y_name, "y")
    for at, text in x.ticks():
        parts.append(f'<path {_GRID} d="M{at:.1f} {y.start:.1f}V{y.end:.1f}"/>')
        if x_layout.showticklabels is not False:
            parts.append(_text(at, y.start + 17, text, turned=x.kind == "category" and len(x.names) > 8))
    for at, text in y.ticks():
        parts.append(f'<path {_GRID} d="M{x.start:.1f} {at:.1f}H{x.end:.1f}"/>')
        if y_layout.showticklabels is not False:
            parts.append(_text(x.start - 6, at + 4, text, anchor="end"))
    if title := x_layout.title.text:
        parts.append(_text((x.start + x.end) / 2, y.start + 38, title))
    if title := y_layout.title.text:
        turn = f"translate({x.start - 50:.0f} {(y.start + y.end) / 2:.0f}) rotate(-90)"
        parts.append(f'<g transform="{turn}">{_text(0, 0, title)}</g>')
    return parts


def _trace(trace: Any, x: _Axis, y: _Axis) -> list[str]:
    """Return lines and markers of one trace."""
    colour = _colour(trace)
    points: list[tuple[float, float]] = []
    for a, b in zip(trace.x, trace.y, strict=True):
        across, along = x.place(a), None if b is None else y.place(b)
        if across is not None and along is not None:
            points.append((across, along))
    mode, parts = trace.mode or "lines", []
    if "lines" in mode and len(points) > 1:
        parts.append(_line(points, colour, trace.line.width or 2, trace.line.dash))
    if "markers" in mode:
        sizes = trace.marker.size
        each = sizes if isinstance(sizes, Sequence) else [sizes or 6] * len(points)
        parts += [
            f'<circle cx="{a:.1f}" cy="{b:.1f}" r="{size / 2:g}" fill="{colour}"/>'
            for (a, b), size in zip(points, each, strict=False)
            if size
        ]
    return parts


def _colour(trace: Any) -> str:
    colour = trace.line.color or trace.marker.color
    return colour if isinstance(colour, str) else "#6b7280"


def _line(points: Sequence[tuple[float, float]], colour: str, width: float, dash: str | None) -> str:
    # Points closer than half a pixel look the same.
    kept = [points[0], *(b for a, b in pairwise(points) if abs(a[0] - b[0]) + abs(a[1] - b[1]) > 0.5)]
    path = " ".join(f"{a:.1f},{b:.1f}" for a, b in kept)
    style = f' stroke-dasharray="{_DASHES[dash]}"' if dash in _DASHES else ""
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width:g}"{style}/>'


def _titles(figure: go.Figure, width: float, bottom: float) -> list[str]:
    """Return the titles of the charts, which are annotations in shares of the drawing."""
    left, top = _MARGIN["left"], _MARGIN["top"]
    across, along = width - _MARGIN["right"] - left, bottom - _MARGIN["bottom"] - top
    return [
        _text(left + note.x * across, top + (1 - note.y) * along - 7, note.text, is_title=True)
        for note in figure.layout.annotations
        if note.xref == "paper" and note.yref == "paper"
    ]


def _legend(entries: Sequence[tuple[str, Any]], width: float) -> tuple[list[str], int]:
    """Return the legend and its number of rows; a single entry needs none."""
    parts: list[str] = []
    if len(entries) < 2:
        return parts, 0
    at, row = float(_MARGIN["left"]), 0
    for name, trace in entries:
        size = 42 + _CHARACTER * len(clean(name))
        if at + size > width and at > _MARGIN["left"]:
            at, row = float(_MARGIN["left"]), row + 1
        middle = row * _LEGEND_ROW + 8
        if "lines" in (trace.mode or "lines"):
            parts.append(_line([(at, middle), (at + 26, middle)], _colour(trace), 2, trace.line.dash))
        else:
            parts.append(f'<circle cx="{at + 13:.0f}" cy="{middle}" r="4" fill="{_colour(trace)}"/>')
        parts.append(_text(at + 31, middle + 4, name, anchor="start"))
        at += size
    return parts, row + 1


def _power(exponent: int) -> str:
    """Return a power of ten as text."""
    return {0: "1", 1: "10"}.get(exponent, "10" + str(exponent).translate(_POWERS))


def _text(
    x: float, y: float, text: str, *, anchor: str = "middle", is_title: bool = False, turned: bool = False
) -> str:
    # Names in charts are escaped once already, for Plotly.
    plain = clean(text).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&").replace("<br>", " ")
    turn = f' transform="rotate(-35 {x:.1f} {y:.1f})"' if turned else ""
    anchor = "end" if turned else anchor
    style = ' font-weight="600"' if is_title else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{style}{turn}>{escape(plain)}</text>'
