"""Cells of CSV files that no spreadsheet takes for a formula.

Spreadsheets run a text that starts with =, +, -, @ or certain control characters. Such a text gets an
apostrophe before it, which they do not show (OWASP, CSV injection). Numbers stay numbers.
"""

from __future__ import annotations

from typing import Any

__all__ = ["cell"]

_STARTS = tuple("=+-@\uff1d\uff0b\uff0d\uff20")
"""What starts a formula, in full width as well."""


def cell(value: Any) -> Any:
    r"""Return what is written for a value.

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
