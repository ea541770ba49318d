"""Drawing of the segment graph: joints are small, removal structures stand out."""

from __future__ import annotations

from nasviz.draw.captions import form_of, segment_lines
from nasviz.draw.draft import Draft
from nasviz.draw.drawing import Drawing, Form
from nasviz.graph import SearchSpace

__all__ = ["segment_dot", "segment_drawing"]


def segment_dot(space: SearchSpace) -> str:
    """Return the Graphviz source of a segment graph with its virtual inputs and outputs."""
    return segment_drawing(space).to_dot()


def segment_drawing(space: SearchSpace) -> Drawing:
    """Return a drawing of segments, virtual inputs and outputs; the key of a segment is its id. O(V + E)."""
    trace = space.trace
    removable, gates = {s.id for s in space.removable}, {gate.id: gate for gate in space.gates}
    collapsed = space.segments.module_of
    draft = Draft()
    draft.add_inputs(trace)
    for s in space.segments:
        lines = segment_lines(trace, s.vertices, collapsed)
        if s.id in removable:
            lines = (*lines, f"structure {s.id}")
        elif s.id in gates:
            lines = (*lines, f"gate {s.id}, at zero {gates[s.id].value:g}")
        role = "joint" if s.is_joint else "removable" if s.id in removable else "kept"
        role = "gate" if s.id in gates else role
        form: Form = "box" if len(s.vertices) > 1 else form_of(trace[s.vertices[0]])
        if not collapsed.keys().isdisjoint(s.vertices):
            form = "whole"
        draft.add(s.id, "segment", role, form, lines, members=s.vertices)
    draft.add_outputs(trace)
    for s in space.segments:
        for name in s.inputs:
            draft.link(("input", name), s.id)
        for follower in s.successors:
            last = s.vertices[-1]
            draft.link(s.id, follower, last, max(v.count(last) for v in _operands(space, follower)))
        for name in s.outputs:
            draft.link(s.id, ("output", name))
    return draft.finish(trace.name)


def _operands(space: SearchSpace, segment_id: int) -> list[tuple[str, ...]]:
    return [space.trace[v].inputs for v in space.segments[segment_id].vertices]
