"""Frozen parameters: what has one stays, because it could only go by being overwritten.

A structure goes by zeros in all that it owns, and in the rows of later norms and biases that it entails. What
only reads its channels is cut when the sub-network is constructed, and is never written to: a frozen reader
keeps nothing from going.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from nasviz.graph.construction.plan import entailed_rows
from nasviz.graph.operators.rules import Role
from nasviz.graph.segments.segment_graph import SegmentGraph
from nasviz.graph.structures.validity import Connectivity

__all__ = [
    "FROZEN",
    "PROTECTED",
    "frozen_names",
    "frozen_reason",
    "frozen_rows",
    "frozen_segments",
    "is_frozen_reason",
]

PROTECTED = "protected"
FROZEN = (PROTECTED, "removable")
"""What may become of structures and channel groups with frozen parameters."""
_WORD = "frozen: "


def frozen_names(network: Any) -> tuple[str, ...] | None:
    """Return the names of parameters that require no gradients now; `None` if `network` holds none."""
    parameters = getattr(network, "named_parameters", None)
    return None if parameters is None else tuple(name for name, p in parameters() if not p.requires_grad)


def frozen_reason(name: str) -> str:
    """Return the reason why a structure with this frozen parameter stays.

    Examples:
        >>> frozen_reason("layer1.0.conv1.weight"), is_frozen_reason(frozen_reason("a"))
        ('frozen: layer1.0.conv1.weight', True)
    """
    return f"{_WORD}{name}"


def is_frozen_reason(reason: str | None) -> bool:
    """Return whether `reason` is that of a frozen parameter."""
    return reason is not None and reason.startswith(_WORD)


def frozen_segments(segments: SegmentGraph, frozen: Collection[str]) -> dict[int, str]:
    """For each segment that could only go with zeros in a frozen parameter: the reason why it stays.

    Segments that reach no output anyway are left out: nothing could keep them connected.
    """
    if not frozen:
        return {}
    bare = Connectivity(segments, frozenset(), frozenset(), frozenset())
    connected, rows = bare.alive(frozenset()), _with_rows(segments, frozen)
    found: dict[int, str] = {}
    for s in segments:
        if s.id not in connected:
            continue
        own = next((name for name in s.parameters if name in frozen), None)
        name = own or frozen_rows(segments, bare.closure([s.id]), rows)
        if name is not None:
            found[s.id] = frozen_reason(name)
    return found


def frozen_rows(segments: SegmentGraph, gone: Collection[int], frozen: Collection[str]) -> str | None:
    """Return a frozen parameter of which rows must be zero when the segments `gone` are erased."""
    if not frozen or not gone:
        return None
    return next((row.tensor for row in entailed_rows(segments, gone) if row.tensor in frozen), None)


def _with_rows(segments: SegmentGraph, frozen: Collection[str]) -> frozenset[str]:
    """Return the parameters that can have rows for channels of earlier structures; usually few."""
    trace = segments.trace
    mixing = {v.id for v in trace if v.role is Role.STEM and v.attributes.get("groups", 1) == 1}
    return frozenset(name for name in frozen if not mixing.issuperset(trace.parameter_readers.get(name, ())))
