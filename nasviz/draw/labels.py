"""Text on a drawing: safe, short, and the same on every machine.

Names come from models and are untrusted. `clean` leaves only characters that are legal in SVG and cannot
hide or turn others around; `label` quotes what is left, so that Graphviz reads it as text and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import graphviz

__all__ = ["axes_text", "clean", "count", "label", "plain_shape", "ranges", "shorten"]

_STEPS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def axes_text(free_axes: Mapping[str, Sequence[int]]) -> str:
    """Axes of inputs in words; the first one is the batch.

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
    r"""The text on one line, without characters that do not print.

    Examples:
        >>> clean("block\n\u202e1\x00")
        'block 1'
    """
    if text.isprintable():  # as nearly all names are: looked at whole, a hundred times as fast
        return text
    return "".join(c if c.isprintable() else " " if c.isspace() else "" for c in text)


def shorten(text: str, limit: int = 36) -> str:
    """The text with its middle left out where it is longer than `limit` characters: ends tell names apart.

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
    r"""A Graphviz label of one line of text per item, whatever the text holds.

    Examples:
        >>> label(["<b>", "a & b"])
        '<b>\\na &amp; b'
    """
    # Graphviz decodes entities even in plain labels: an ampersand has to be written as one.
    quoted = (graphviz.escape(graphviz.nohtml(clean(line).replace("&", "&amp;"))) for line in lines)
    return str(graphviz.nohtml(r"\n".join(quoted)))


def count(number: float) -> str:
    """A number of things, to three figures.

    Examples:
        >>> count(10), count(25608), count(208871584), count(999999)
        ('10', '25.6k', '209M', '1M')
    """
    for step, letter in _STEPS:
        # 999,999 rounds to a full step: it belongs to the next letter.
        if abs(number) >= step * 0.9995:
            return f"{number / step:.3g}{letter}"
    return f"{number:.3g}" if isinstance(number, float) else str(number)


def plain_shape(shape: Sequence[int]) -> str:
    """A tensor's shape without its batch.

    Examples:
        >>> plain_shape((-1, 88, 28, 28)), plain_shape((10,)), plain_shape(())
        ('88×28×28', '10', 'scalar')
    """
    kept = shape[1:] if shape and shape[0] == -1 else shape
    return "×".join(str(size) if size >= 0 else "N" for size in kept) or "scalar"


def ranges(rows: Iterable[int]) -> str:
    """Ascending indices, neighbours joined.

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
