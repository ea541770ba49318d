"""Drawing of operators by kind (OTOv3, section 3.1): stem, joint, accessory, unknown; structures as frames.

OTOv3 calls the segment graph its dependency graph; here that is the graph of operators and their channels.
"""

from __future__ import annotations

from nasviz.draw.captions import form_of, operator_lines
from nasviz.draw.draft import Draft
from nasviz.draw.drawing import Drawing, Form
from nasviz.graph import SearchSpace
from nasviz.graph.trace_graph import Vertex

__all__ = ["dependency_dot", "dependency_drawing"]

_FORMS: dict[str, Form] = {"stem": "box", "accessory": "pill", "unknown": "box"}


def dependency_dot(space: SearchSpace) -> str:
    """Return the Graphviz source of a dependency graph."""
    return dependency_drawing(space).to_dot()


def dependency_drawing(space: SearchSpace) -> Drawing:
    """Return a drawing of all operator calls by kind, with a frame around each removal structure."""
    trace, dependency = space.trace, space.dependency
    homes = {vertex: s for s in space.structures for vertex in s.vertices}
    draft = Draft()
    draft.add_inputs(trace)
    for v in trace:
        frame = None
        if s := homes.get(v.id):
            role = "removable" if s.is_removable else "kept"
            frame = draft.frame(("structure", s.id), f"structure {s.id}", None, role, key=str(s.id))
        kind = dependency.kind(v.id)
        form = _form(v, kind)
        lines = operator_lines(trace, v)
        shown = lines if form != "pill" else lines[:1]
        draft.add(v.id, "operator", kind, form, shown, members=(v.id,), cluster=frame)
    draft.add_outputs(trace)
    inputs = {i.id for i in trace.inputs}
    for v in trace:
        for source in v.inputs:
            draft.link(
                ("input", source) if source in inputs else source, v.id, source, v.inputs.count(source)
            )
    for o in trace.outputs:
        draft.link(("input", o.source) if o.source in inputs else o.source, ("output", o.id))
    return draft.finish(trace.name)


def _form(vertex: Vertex, kind: str) -> Form:
    return form_of(vertex) if kind == "joint" else _FORMS[kind]
