"""Number formats."""

from __future__ import annotations

from math import isfinite

__all__ = ["power_of_ten", "size"]

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
