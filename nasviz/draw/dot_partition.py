"""Drawing of the variable partition (ASGNAS, figure 2c; OTOv3, figure 1c).

Each operator is drawn with its tensors. Frames are the groups of G_s; what is outside of them is the
complement. Columns behind a concatenation have the colour of the operand that they read.
"""

from __future__ import annotations

from nasviz.draw.captions import form_of, operator_lines
from nasviz.draw.draft import Draft
from nasviz.draw.drawing import Cell, Drawing
from nasviz.draw.labels import count, plain_shape, ranges, shorten
from nasviz.graph import Origin, SearchSpace, Variable
from nasviz.graph.operators.rules import Role
from nasviz.graph.trace_graph import Vertex

__all__ = ["partition_dot", "partition_drawing"]

_SYMBOLS = {
    (Role.STEM, "weight"): "K",
    (Role.STEM, "bias"): "b",
    (Role.NORM, "weight"): "\N{GREEK SMALL LETTER GAMMA}",
    (Role.NORM, "bias"): "\N{GREEK SMALL LETTER BETA}",
}
"""Symbols of the documents: filter matrix (W in a linear map), bias, and scale and shift of a norm."""
_MOST_CELLS = 6
"""Maximum number of origins drawn in one bar."""

Bar = tuple[Cell, ...]


def partition_dot(space: SearchSpace) -> str:
    """Return the Graphviz source of the variable partition."""
    return partition_drawing(space).to_dot()


def partition_drawing(space: SearchSpace) -> Drawing:
    """Return a drawing of all operator calls with their tensors, and a frame around each group of G_s."""
    trace, partition = space.trace, space.partition
    removable = {v: s for s in space.removable for v in s.vertices}
    variables = {variable.name: variable for variable in partition.variables}
    colours, tags = _colours(space), _tags(space)
    draft = Draft()
    draft.add_inputs(trace)
    for v in trace:
        frame, role = None, "joint" if v.is_joint else "kept"
        if s := removable.get(v.id):
            title = f"group {s.id} · {count(s.num_parameters)}"
            frame, role = draft.frame(("group", s.id), title, None, "removable", key=str(s.id)), "removable"
        rows: list[Bar] = [_bar(space, v, variables[name], colours) for name in v.parameters]
        rows += [(Cell(text, colour=colours[v.id]),) for text in tags.get(v.id, ())]
        form = form_of(v)
        lines = operator_lines(trace, v)[:1] if v.parameters else operator_lines(trace, v)
        draft.add(
            v.id,
            "operator",
            role,
            "box" if rows else form,
            lines if form == "box" or not rows else (f"{lines[0]} {v.operator}",),
            members=(v.id,),
            cluster=frame,
            rows=tuple(rows),
        )
    draft.add_outputs(trace)
    inputs = {i.id for i in trace.inputs}
    for v in trace:
        for source in v.inputs:
            start = ("input", source) if source in inputs else source
            draft.link(start, v.id, source, v.inputs.count(source))
    for o in trace.outputs:
        draft.link(("input", o.source) if o.source in inputs else o.source, ("output", o.id))
    return draft.finish(trace.name)


def _colours(space: SearchSpace) -> dict[str, int]:
    """Return a colour for each operand of a concatenation, counted within each parameter that reads it."""
    colours: dict[str, int] = {}
    for variable in space.partition.variables:
        used = {colours[o.source] for o in variable.origins if o.source in colours}
        for origin in variable.origins:
            if origin.source not in colours:
                colours[origin.source] = next(n for n in range(len(used) + 1) if n not in used)
                used.add(colours[origin.source])
    return colours


def _tags(space: SearchSpace) -> dict[str, tuple[str, ...]]:
    """Return, for each operand of a concatenation, which columns of which operators read it."""
    tags: dict[str, list[str]] = {}
    for variable in space.partition.variables:
        for origin in variable.origins:
            if origin.dim and variable.readers:
                reader = shorten(space.trace[variable.readers[0]].name, 18)
                tags.setdefault(origin.source, []).append(f"→ {reader} {_rows(origin)}")
    return {
        source: (*texts[:2], *([f"and {len(texts) - 2} more"] if len(texts) > 2 else []))
        for source, texts in tags.items()
    }


def _bar(space: SearchSpace, vertex: Vertex, variable: Variable, colours: dict[str, int]) -> Bar:
    """Return the bar of a tensor: its symbol and shape, then its columns by origin."""
    argument = next((a for a, name in vertex.tensors.items() if name == variable.name), "")
    argument = argument or variable.name.rpartition(".")[2]
    symbol = _SYMBOLS.get((vertex.role, argument), shorten(argument, 14))
    if symbol == "K" and not vertex.operator.startswith("conv"):
        symbol = "W"
    head = Cell(f"{symbol}  {plain_shape(variable.shape)}", 0.3 if variable.origins else 1.0)
    shown = variable.origins[:_MOST_CELLS]
    if not shown:
        return (head,)
    total = sum(len(origin.rows) for origin in variable.origins)
    cells = [
        Cell(
            f"{_source(space, origin)} {_rows(origin)}",
            len(origin.rows) / total,
            colours[origin.source],
        )
        for origin in shown
    ]
    more = (
        [Cell(f"{len(variable.origins) - _MOST_CELLS} more")] if len(variable.origins) > _MOST_CELLS else []
    )
    return (head, *cells, *more)


def _source(space: SearchSpace, origin: Origin) -> str:
    return shorten(space.trace[origin.source].name if origin.source in space.trace else origin.source, 14)


def _rows(origin: Origin) -> str:
    """Return the entries of an origin, such as `0-87`; many short ranges as their number."""
    text = ranges(origin.rows)
    return text if len(text) < 20 else f"{len(origin.rows)} entries"
