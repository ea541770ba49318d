"""Operations without variables: pooling and identity edges, which a switch could make removable.

The documents leave them out (ASGNAS, appendix A.1): nothing of theirs can become zero. They are listed, so
that a switch can be put on them, and count towards K only once one is there.
"""

from __future__ import annotations

from dataclasses import dataclass

from nasviz.graph.segments.segment_graph import SegmentGraph

__all__ = ["Switchable", "switchable_operations"]


@dataclass(frozen=True, slots=True)
class Switchable:
    """One operation without variables that ends in joints which can lose it."""

    name: str
    source: str
    """The vertex whose value a switch would scale."""
    joints: tuple[str, ...]
    """The joints that read it."""
    vertices: tuple[str, ...]
    """What would go with it; empty for an identity edge."""


def switchable_operations(segments: SegmentGraph, objections: dict[str, str]) -> tuple[Switchable, ...]:
    """Segments without variables, then identity edges, that end only in joints without objection."""
    trace = segments.trace
    operations, identities = [], []
    for s in segments:
        exit_id = s.vertices[-1]
        joints = tuple(
            reader
            for reader in trace.consumers[exit_id]
            if reader in trace and trace[reader].is_joint and reader not in objections
        )
        is_only_read_by_joints = len(joints) == len(trace.consumers[exit_id])
        if not s.is_joint and not s.parameters and joints and is_only_read_by_joints:
            operations.append(Switchable(s.name, exit_id, joints, s.vertices))
        elif not is_only_read_by_joints or (s.is_joint and len(joints) > 1):
            identities += [
                Switchable(f"identity {trace[exit_id].name} → {trace[j].name}", exit_id, (j,), ())
                for j in joints
            ]
    return (*operations, *identities)
