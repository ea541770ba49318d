"""Channels that are silent: exactly zero wherever they are read, however that came about.

A filter and its bias at zero make a silent channel, and so do scale and shift of a norm behind any filter.
What keeps zeros hands silence on; a sum is silent where all of its operands are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from nasviz.graph.channels.flow import ChannelFlow, Touch

__all__ = ["ZeroRows", "silent_labels"]

ZeroRows = Callable[[str, int], Sequence[bool]]
"""For a tensor and a dimension of it, which of its rows are zero."""


def silent_labels(flow: ChannelFlow, zero_rows: ZeroRows) -> frozenset[int]:
    """Return the root labels of all channels that are zero wherever they are read."""
    touches: dict[str, list[Touch]] = {}
    for touch in flow.touches:
        touches.setdefault(touch.vertex, []).append(touch)
    roots = flow.labels.roots()

    def silent_rows(labels: Sequence[int], is_zero: Iterable[bool]) -> frozenset[int]:
        zero: set[int] = set()
        loud: set[int] = set()
        for label, silent in zip(labels, is_zero, strict=True):
            (zero if silent else loud).add(roots[label])
        return frozenset(zero - loud)

    def silenced(held: Sequence[Touch]) -> frozenset[int]:
        """Return the labels for which all of these tensors of a vertex are zero."""
        found = [silent_rows(t.labels, zero_rows(t.tensor, t.dim)) for t in held if t.is_zeroed]
        return frozenset.intersection(*found) if found else frozenset()

    made = {vertex: silenced(held) for vertex, held in touches.items()}
    candidates = frozenset().union(*made.values())
    if not candidates:
        return candidates
    carried: dict[str, frozenset[int]] = {}
    silent: dict[str, frozenset[int]] = {}
    for name, value in flow.values.items():
        carried[name] = (
            candidates.intersection(roots[label] for label in value.labels) if value else frozenset()
        )
    loud: set[int] = set()
    for vertex in flow.trace:
        held = touches.get(vertex.id, [])
        is_stem = any(t.part == "stem" for t in held)
        reads = [(carried[u], carried[u] - silent.get(u, frozenset())) for u in vertex.inputs]
        heard = frozenset().union(*(noise for _, noise in reads))
        own = carried[vertex.id]
        if is_stem:
            loud |= heard
            silent[vertex.id] = made[vertex.id] & own
        else:
            loud |= heard - own  # what ends here is read here
            needed = [touch for touch in held if touch.is_needed]
            quiet = own - heard
            quiet = (quiet & silenced(needed)) if needed else quiet
            if vertex.annihilates:  # maybe without a tensor that has a row for each channel
                quiet |= made.get(vertex.id, frozenset()) & own
            silent[vertex.id] = quiet
    return candidates - loud
