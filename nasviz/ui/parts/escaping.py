"""Escaping of untrusted text: names from models and files, and errors that quote them.

Streamlit renders Markdown in most texts. A name such as `![](http://…)` would become an image that the
browser fetches, so untrusted text is escaped before it is shown.
"""

from __future__ import annotations

import re

from nasviz.draw.labels import clean

__all__ = ["inert", "sentence"]

_MARKS = re.compile(r"([\\`*_{}\[\]()<>#+!|~$:&=^-])")
_ADDRESS = re.compile(r"(?i)\b(https?|ftp|mailto|www)(?=[:.])|@")
_JOINER = "\u2060"
"""Word joiner: has no width, and keeps browsers and Markdown from linking an address."""


def inert(text: str) -> str:
    r"""Escape a text so that Markdown renders it literally.

    Examples:
        >>> inert("![x](a) <b> layer1.0")
        '\\!\\[x\\]\\(a\\) \\<b\\> layer1.0'
    """
    return _MARKS.sub(r"\\\1", _ADDRESS.sub(rf"\g<0>{_JOINER}", clean(text)))


def sentence(text: str) -> str:
    """Escape a text and turn it into a sentence with a capital and a full stop.

    Examples:
        >>> sentence("erasing a and b together cuts something off")
        'Erasing a and b together cuts something off.'
    """
    return inert(f"{text[:1].upper()}{text[1:]}").removesuffix(".") + "."
