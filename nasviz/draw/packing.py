"""Compact encoding of numbers that are sent to the browser repeatedly; `viewer/packed.js` decodes them.

Numbers are encoded as little-endian base64. Colour bins of heat maps and overlays take half a byte.
"""

from __future__ import annotations

import base64

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["NO_BIN", "pack_bins", "pack_floats", "pack_ints"]

NO_BIN = 15
"""Code for a missing bin."""


def pack_floats(values: ArrayLike) -> str:
    """Return numbers as 32-bit floats; unknown values are NaN.

    Examples:
        >>> pack_floats([1.0])
        'AACAPw=='
    """
    return _pack(np.asarray(values, "<f4"))


def pack_ints(values: ArrayLike) -> str:
    """Return numbers as 32-bit integers.

    Examples:
        >>> pack_ints([1])
        'AQAAAA=='
    """
    return _pack(np.asarray(values, "<i4"))


def pack_bins(bins: ArrayLike) -> str:
    """Return bins from 0 to 14, two per byte; larger values mean no bin.

    Examples:
        >>> pack_bins([1, 2, 3]) == pack_bins([1, 2, 3, 0])
        True
    """
    half_bytes = np.minimum(np.asarray(bins, np.uint8), NO_BIN)
    if half_bytes.size % 2:
        half_bytes = np.append(half_bytes, np.uint8(0))
    return _pack(half_bytes[::2] << 4 | half_bytes[1::2])


def _pack(numbers: np.ndarray) -> str:
    return base64.b64encode(numbers.tobytes()).decode()
