"""SiDT: searching for the dimensions of transformers, counted (dissertation, section 4.3, table 4.3).

A score per dimension is shared by queries, keys and values, by all heads and by all windows of an attention;
an MLP has one per hidden dimension. What stays is d' of d/h dimensions a head, and d_m' of d_m hidden ones.
"""

from __future__ import annotations

from math import floor
from typing import NamedTuple

from nasviz.errors import InvalidSettingError

__all__ = ["Counts", "attention_counts", "kept_dimensions", "mlp_counts"]


class Counts(NamedTuple):
    """Size and cost of a part of a transformer."""

    params: int
    """Weights of the matrices; biases and the table of relative positions come on top."""
    macs: int
    """Multiply-accumulates for one sample."""


def kept_dimensions(ratio: float, num_dimensions: int) -> int:
    """How many of a head's dimensions stay: ratio * d/h, rounded down, and at least 1.

    Raises:
        InvalidSettingError: The ratio is not in (0, 1].

    Examples:
        >>> kept_dimensions(0.8, 32), kept_dimensions(0.01, 32)
        (25, 1)
    """
    if not 0 < ratio <= 1:
        raise InvalidSettingError(f"ratio={ratio!r}: must be above 0 and at most 1")
    return max(1, floor(ratio * num_dimensions + 1e-9))


def attention_counts(
    dim: int, num_heads: int, num_tokens: int, *, kept: int | None = None, window: int | None = None
) -> Counts:
    """Multi-head self-attention with `kept` dimensions a head.

    4 d d' h weights, where d' h = d in the full network; 4 n d d' h MACs for the four projections, and
    2 n m d' h for the two products, where each token meets m others: all n, or those of its window.

    Args:
        dim: d, of a token.
        num_heads: h.
        num_tokens: n.
        kept: Dimensions a head that stay; all d/h when left out.
        window: Side M of a window in tokens; all tokens meet when left out.

    Raises:
        InvalidSettingError: The heads do not divide the dimension, or `kept` is not one of theirs.

    Examples:
        >>> attention_counts(96, 3, 49, kept=26).params, attention_counts(96, 3, 49).params
        (29952, 36864)
    """
    if num_heads < 1 or dim % num_heads:
        raise InvalidSettingError(f"num_heads={num_heads}: must divide dim={dim}")
    size = dim // num_heads
    kept = size if kept is None else kept
    if not 1 <= kept <= size:
        raise InvalidSettingError(f"kept={kept}: a head of {size} dimensions keeps from 1 to {size}")
    width = kept * num_heads
    met = num_tokens if window is None else window**2
    params = 4 * dim * width
    return Counts(params, num_tokens * params + 2 * num_tokens * met * width)


def mlp_counts(dim: int, hidden: int, num_tokens: int) -> Counts:
    """Two linear layers with `hidden` dimensions in between: 2 d d_m weights, n times as many MACs.

    Examples:
        >>> mlp_counts(96, 384, 10)
        Counts(params=73728, macs=737280)
    """
    return Counts(2 * dim * hidden, 2 * dim * hidden * num_tokens)
