"""CSV cells that are safe from formula injection.

Spreadsheets evaluate text that starts with =, +, -, @ or certain control characters. Such text is prefixed
with an apostrophe, which they do not show (OWASP, CSV injection). Numbers stay numbers.
"""

from __future__ import annotations

from typing import Any

__all__ = ["cell"]

_STARTS = tuple("=+-@\uff1d\uff0b\uff0d\uff20")
"""Characters that start a formula, including their full-width forms."""


def cell(value: Any) -> Any:
    r"""Return the cell to write for a value, escaped if it is text that looks like a formula.

    Examples:
        >>> cell("=1+1"), cell(-0.5), cell("plain"), cell("\t=1")
        ("'=1+1", -0.5, 'plain', "'\t=1")
    """
    if not isinstance(value, str) or not value:
        return value
    # A bare carriage return is not quoted by the csv module, and would start a new row.
    value = value.replace("\r\n", "\n").replace("\r", "\n")
    is_formula = value.startswith(_STARTS) or (not value[0].isprintable())
    return f"'{value}" if is_formula else value
