"""Texts in drawings.

Names come from models and are untrusted. `clean` keeps only characters that are legal in SVG and cannot hide
or reorder others; `label` quotes the result, so that Graphviz reads it as plain text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from math import isfinite

import graphviz

from nasviz.catalog import data_title
from nasviz.settings import RunSettings

__all__ = [
    "axes_text",
    "clean",
    "count",
    "label",
    "plain_shape",
    "power_of_ten",
    "ranges",
    "settings_line",
    "shorten",
    "size",
    "table_label",
]

_STEPS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def axes_text(free_axes: Mapping[str, Sequence[int]]) -> str:
    """Return a description of the axes of inputs; axis 0 is the batch.

    Examples:
        >>> axes_text({"x": [0, 2, 3], "mask": []})
        'x: 0 (batch), 2, 3; mask: none'
    """
    words = {
        name: ", ".join(f"{axis} (batch)" if axis == 0 else str(axis) for axis in axes) or "none"
        for name, axes in free_axes.items()
    }
    return "; ".join(f"{clean(name)}: {axes}" for name, axes in words.items()) or "none"


def clean(text: str) -> str:
    r"""Return the text in one line, without unprintable characters.

    Examples:
        >>> clean("block\n\u202e1\x00")
        'block 1'
    """
    if text.isprintable():  # fast path for nearly all names
        return text
    return "".join(c if c.isprintable() else " " if c.isspace() else "" for c in text)


def shorten(text: str, limit: int = 36) -> str:
    """Return the text with its middle omitted if it is longer than `limit` characters.

    Examples:
        >>> shorten("features.denseblock4.denselayer16.conv1", 20)
        'features.d…r16.conv1'
    """
    text = clean(text)
    if len(text) <= limit:
        return text
    tail = (limit - 1) // 2
    return f"{text[: limit - 1 - tail]}…{text[len(text) - tail :]}"


def label(lines: Iterable[str]) -> str:
    r"""Return a Graphviz label with one line per item, for arbitrary text.

    Examples:
        >>> label(["<b>", "a & b"])
        '<b>\\na &amp; b'
    """
    # Graphviz decodes entities even in plain labels, so ampersands must be escaped.
    quoted = (graphviz.escape(graphviz.nohtml(clean(line).replace("&", "&amp;"))) for line in lines)
    return str(graphviz.nohtml(r"\n".join(quoted)))


def table_label(lines: Sequence[str], rows: Iterable[Sequence[tuple[str, float, str]]]) -> str:
    """Return a Graphviz label of lines, with rows of cells below them.

    Args:
        lines: Text above the rows; may be any text.
        rows: Text, width in points and colour of each cell; an empty colour means none.

    Examples:
        >>> "&lt;b&gt;" in table_label(["<b>"], [[("0-3", 40, "#ffffff")]])
        True
    """
    texts = "".join(f"<TR><TD>{_escaped(line)}</TD></TR>" for line in lines)
    bars = "".join(
        '<TR><TD><TABLE BORDER="0" CELLBORDER="1" CELLSPACING="0" CELLPADDING="2"><TR>'
        + "".join(_cell(*cell) for cell in row)
        + "</TR></TABLE></TD></TR>"
        for row in rows
    )
    return f'<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="1" CELLPADDING="1">{texts}{bars}</TABLE>>'


def _cell(text: str, width: float, colour: str) -> str:
    fill = f' BGCOLOR="{colour}"' if colour else ""
    return f'<TD WIDTH="{width:.0f}"{fill}><FONT POINT-SIZE="12.5">{_escaped(text)}</FONT></TD>'


def _escaped(text: str) -> str:
    return escape(clean(text)) or " "


def count(number: float) -> str:
    """Return a count with three significant digits.

    Examples:
        >>> count(10), count(25608), count(208871584), count(999999)
        ('10', '25.6k', '209M', '1M')
    """
    for step, letter in _STEPS:
        # 999,999 rounds to 1M, not to 1000k.
        if abs(number) >= step * 0.9995:
            return f"{number / step:.3g}{letter}"
    return f"{number:.3g}" if isinstance(number, float) else str(number)


def plain_shape(shape: Sequence[int]) -> str:
    """Return the shape of a tensor without its batch axis.

    Examples:
        >>> plain_shape((-1, 88, 28, 28)), plain_shape((10,)), plain_shape(())
        ('88×28×28', '10', 'scalar')
    """
    kept = shape[1:] if shape and shape[0] == -1 else shape
    return "×".join(str(size) if size >= 0 else "N" for size in kept) or "scalar"


def ranges(rows: Iterable[int]) -> str:
    """Return ascending indices as ranges.

    Examples:
        >>> ranges([0, 1, 2, 5, 7, 8])
        '0-2, 5, 7-8'
    """
    runs: list[list[int]] = []
    for row in rows:
        if runs and row == runs[-1][1] + 1:
            runs[-1][1] = row
        else:
            runs.append([row, row])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def power_of_ten(number: float | None) -> str:
    """Format a number with two significant digits, as a power of ten if it is very small or large.

    Examples:
        >>> power_of_ten(1.512e-7), power_of_ten(0.25), power_of_ten(0), power_of_ten(None)
        ('1.5 · 10⁻⁷', '0.25', '0', 'not measured')
    """
    if number is None or not isfinite(number):
        return "not measured"
    if number == 0 or 1e-3 <= abs(number) < 1e5:
        return f"{number:.2g}"
    figures, exponent = f"{number:.1e}".split("e")
    return f"{figures} · 10{str(int(exponent)).translate(_RAISED)}"


def size(num_bytes: int) -> str:
    """Format a file size.

    Examples:
        >>> size(812), size(51_400), size(1_760_000)
        ('812 B', '51 kB', '1.8 MB')
    """
    if num_bytes < 1e4:
        return f"{num_bytes:,} B"
    return f"{num_bytes / 1e3:,.0f} kB" if num_bytes < 1e6 else f"{num_bytes / 1e6:,.1f} MB"


def settings_line(settings: RunSettings) -> str:
    """Return the main settings of a run in one line of plain text."""
    method = settings.method
    if settings.is_watched:
        return " · ".join([*method.in_short(), method.title, "own training loop"])
    parts = [
        *method.in_short(),
        *([f"{', '.join(settings.collapse)} collapsed"] if settings.collapse else []),
        method.title,
        data_title(settings.data),
        *([f"{settings.train_images:,} training images"] if settings.train_images else []),
        settings.length,
        f"seed {settings.seed}",
        *([f"{settings.processes} processes"] if settings.processes > 1 else []),
    ]
    return " · ".join(parts)
