"""What shall stay: ids of structures, or names of structures, vertices and modules.

In Python an id is an int and a name is text. Where everything is text, on the command line and in the
settings of a run, an id is written `id:5`: "5" alone is the module of that name, as a `Sequential` has it.
"""

from __future__ import annotations

import re

from nasviz.errors import ArgumentError

__all__ = ["from_first_version", "protection", "protection_text"]

_ID = re.compile(r"id:(\d{1,9})", re.ASCII)


def protection(wish: int | str) -> int | str:
    """Return the id of a structure, or the name, that `wish` means.

    Raises:
        ArgumentError: It is neither an int nor text.

    Examples:
        >>> protection("id:5"), protection("5"), protection(5)
        (5, '5', 5)
    """
    if isinstance(wish, bool) or not isinstance(wish, int | str):
        raise ArgumentError(
            f"protect holds {wish!r:.80}; give ids of structures as int, and names of structures, vertices or"
            " modules as text"
        )
    found = _ID.fullmatch(wish) if isinstance(wish, str) else None
    return int(found[1]) if found else wish


def protection_text(wish: int | str) -> str:
    """Return the same as text.

    Examples:
        >>> protection_text(5), protection_text("layer1")
        ('id:5', 'layer1')
    """
    return f"id:{wish}" if isinstance(wish, int) else wish


def from_first_version(wish: int | str) -> int | str:
    """Return what a wish means that nasviz 0.1 wrote, where digits alone were an id.

    Examples:
        >>> from_first_version("5"), from_first_version("layer1")
        ('id:5', 'layer1')
    """
    return f"id:{int(wish)}" if isinstance(wish, str) and re.fullmatch(r"\d{1,9}", wish, re.ASCII) else wish
