"""Records of the vertices of a drawing: fields of the side panel, search text, table row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from nasviz.draw.captions import num_parameters
from nasviz.draw.drawing import DrawnVertex
from nasviz.draw.labels import clean, plain_shape
from nasviz.graph import SearchSpace, TraceGraph

__all__ = ["Record", "record"]

Row = dict[str, str | int]


@dataclass(frozen=True, slots=True)
class Record:
    """Description of one drawn vertex."""

    title: str
    fields: tuple[tuple[str, str], ...]
    """Pairs of label and text, in display order."""
    search: str
    """Text for the search box."""
    row: Row
    """Row of the table next to the graph; all rows have the same columns."""


def record(trace: TraceGraph, drawn: DrawnVertex, space: SearchSpace | None = None) -> Record:
    """Return the record of a drawn vertex; with a search space, it includes segment and removability."""
    title, kind, fields = _about(trace, drawn, space)
    shape = _shape(trace, drawn)
    removal = _removal(drawn, space)
    parameters, macs = num_parameters(trace, drawn.members), sum(trace[v].macs for v in drawn.members)
    if drawn.members:
        fields += [("Output", shape), ("Parameters", _tensors(trace, drawn.members, parameters))]
        fields += [("MACs", f"{macs:,}")]
    if space is not None and drawn.members:
        fields += [("Segment", _segments(drawn, space)), ("Removal", removal)]
    row: Row = {"name": title, "kind": kind, "output": shape, "parameters": parameters, "macs": macs}
    row |= {"removal": removal} if space is not None else {}
    search = " ".join(dict.fromkeys([title, clean(drawn.key), kind, *_kinds(trace, drawn)]))
    return Record(title, tuple((name, text) for name, text in fields if text), search, row)


def _about(
    trace: TraceGraph, drawn: DrawnVertex, space: SearchSpace | None
) -> tuple[str, str, list[tuple[str, str]]]:
    """Return title, kind and first fields, by kind of vertex."""
    if drawn.kind == "operator":
        v = trace[drawn.members[0]]
        kind = v.operator if v.type_name in ("", v.operator) else f"{v.operator} ({clean(v.type_name)})"
        inputs = ", ".join(plain_shape(trace.shapes[source]) for source in v.inputs)
        fields = [("Operator", kind), ("Module", clean(v.module or (v.scope[-1] if v.scope else "")))]
        return clean(v.name), v.operator, [*fields, ("Source", clean(v.source)), ("Input", inputs)]
    if drawn.kind == "module":
        class_name = clean(trace.modules.get(drawn.module, ""))
        fields = [("Class", class_name), ("Operators", str(len(drawn.members)))]
        return clean(drawn.key), class_name or "module", fields
    if drawn.kind == "segment" and space is not None:
        segment = space.segments[int(drawn.key)]
        names = ", ".join(clean(trace[v].name) for v in segment.vertices)
        kind = {"removable": "structure", "joint": "joint", "gate": "gate"}.get(drawn.role, "segment")
        return clean(segment.name), kind, [("Collapsed", _collapsed(drawn, space)), ("Members", names)]
    return clean(drawn.key), drawn.kind, [("Shape", drawn.lines[-1])] if drawn.kind != "port" else []


def _collapsed(drawn: DrawnVertex, space: SearchSpace) -> str:
    """Return the collapsed modules inside, with their classes."""
    module_of = space.segments.module_of
    inside = dict.fromkeys(module_of[v] for v in drawn.members if v in module_of)
    return ", ".join(f"{clean(path)} ({clean(space.trace.modules.get(path, ''))})" for path in inside)


def _kinds(trace: TraceGraph, drawn: DrawnVertex) -> Sequence[str]:
    """Return the operators inside, so that a search finds the closed module or segment that contains one."""
    return sorted({trace[v].operator for v in drawn.members} | {clean(trace[v].name) for v in drawn.members})


def _shape(trace: TraceGraph, drawn: DrawnVertex) -> str:
    return plain_shape(trace[drawn.members[-1]].shape) if drawn.members else drawn.lines[-1]


def _tensors(trace: TraceGraph, members: Sequence[str], total: int) -> str:
    names = list(dict.fromkeys(name for v in members for name in trace[v].parameters))
    shown = [f"{clean(name)} {plain_shape(trace.parameter_shapes[name])}" for name in names[:6]]
    more = [f"and {len(names) - 6} more"] if len(names) > 6 else []
    sizes = sum(prod(trace.parameter_shapes[name]) for name in names)
    return f"{sizes:,} ({'; '.join([*shown, *more])})" if total else "none"


def _segments(drawn: DrawnVertex, space: SearchSpace) -> str:
    found = dict.fromkeys(space.segments.of(v).id for v in drawn.members)
    if len(found) == 1:
        number = next(iter(found))
        return f"{number} · {clean(space.segments[number].name)}"
    return f"{len(found)} segments"


def _removal(drawn: DrawnVertex, space: SearchSpace | None) -> str:
    """Return whether a vertex can be removed, as text."""
    if space is None or not drawn.members:
        return ""
    homes = {space.segments.of(v).id for v in drawn.members}
    if len(homes) > 1:
        inside = sum(1 for s in space.removable if s.id in homes)
        return f"{inside} removal structures inside" if inside != 1 else "1 removal structure inside"
    reason = space.why_not(drawn.members[0])
    return f"stays: {clean(reason)}" if reason else f"can be erased (structure {homes.pop()})"
