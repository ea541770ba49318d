"""Text of strangers on a page: names out of models and files, and errors that quote them.

Streamlit reads Markdown nearly everywhere. A name such as `![](http://…)` would then be an image that the
browser fetches, so what a person did not write here is made inert before it is shown.
"""

from __future__ import annotations

import re

from nasviz.draw.labels import clean

__all__ = ["inert", "sentence"]

_MARKS = re.compile(r"([\\`*_{}\[\]()<>#+!|~$:&=^-])")
_ADDRESS = re.compile(r"(?i)\b(https?|ftp|mailto|www)(?=[:.])|@")
_JOINER = "\u2060"
"""Takes no room and lets no line break: an address that holds it is no address."""


def inert(text: str) -> str:
    r"""The text as Markdown that shows every character of it and does nothing.

    Examples:
        >>> inert("![x](a) <b> layer1.0")
        '\\!\\[x\\]\\(a\\) \\<b\\> layer1.0'
    """
    return _MARKS.sub(r"\\\1", _ADDRESS.sub(rf"\g<0>{_JOINER}", clean(text)))


def sentence(text: str) -> str:
    """The same with a capital in front and a full stop behind.

    Examples:
        >>> sentence("erasing a and b together cuts something off")
        'Erasing a and b together cuts something off.'
    """
    return inert(f"{text[:1].upper()}{text[1:]}").removesuffix(".") + "."
