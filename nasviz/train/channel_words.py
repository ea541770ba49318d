"""Channel groups in words: thousands of them are told by the operators that lose most."""

from __future__ import annotations

from collections.abc import Sequence

from nasviz.graph import SearchSpace

__all__ = ["most_in"]


def most_in(space: SearchSpace, channels: Sequence[int]) -> str:
    """The three operators that lose most of these channel groups; begins with a comma, empty of none."""
    narrowed = space.channels.narrowed(channels)
    most = sorted(narrowed, key=lambda vertex: -len(narrowed[vertex]))[:3]
    if not most:
        return ""
    return ", most in " + ", ".join(f"{space.trace[v].name} ({len(narrowed[v])})" for v in most)
