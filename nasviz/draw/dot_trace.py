"""Drawing of the trace graph: open modules are frames, closed ones are single vertices."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from nasviz.draw.captions import form_of, module_lines, operator_lines, role_of
from nasviz.draw.collapse import Call, calls, opening, outermost_closed
from nasviz.draw.draft import Draft
from nasviz.draw.drawing import Drawing
from nasviz.draw.labels import shorten
from nasviz.errors import UnknownNameError
from nasviz.graph.trace_graph import TraceGraph

__all__ = ["cell_drawing", "trace_dot", "trace_drawing"]

Around = Mapping[str, tuple[Call, ...]]


def trace_dot(trace: TraceGraph, expanded: Collection[str] | None = None) -> str:
    """Return the Graphviz source of a trace graph; see `trace_drawing`."""
    return trace_drawing(trace, expanded).to_dot()


def trace_drawing(trace: TraceGraph, expanded: Collection[str] | None = None) -> Drawing:
    """Return a drawing of a trace graph in which the modules `expanded` are open. O(V + E).

    Args:
        trace: The trace graph.
        expanded: Paths of the open modules; `trace.modules` opens all. None opens whole levels from the
            outside in, as long as the drawing stays readable.
    """
    opened = opening(trace) if expanded is None else frozenset(expanded)
    draft = Draft()
    draft.add_inputs(trace)
    home = _add_visible(draft, trace, calls(trace), opened, "")
    home |= {i.id: ("input", i.id) for i in trace.inputs}
    for v in trace:
        for source in v.inputs:
            draft.link(home[source], home[v.id], source, v.inputs.count(source))
    draft.add_outputs(trace)
    for o in trace.outputs:
        draft.link(home[o.source], ("output", o.id))
    return draft.finish(trace.name)


def cell_drawing(trace: TraceGraph, path: str) -> Drawing:
    """Return a drawing of the inside of one module, with relative names and ports to the outside.

    Modules of the same structure have the same DOT text, so they share one layout.

    Raises:
        UnknownNameError: There is no module with this path and at least two operators.
    """
    around = {
        v: stack[depth + 1 :]
        for v, stack in calls(trace).items()
        for depth, call in enumerate(stack)
        if call.path == path and call.number == 0
    }
    if not around:
        raise UnknownNameError(
            f"module {path!r} of {trace.name} has fewer than two operators; choose another one"
        )
    draft = Draft()
    incoming = dict.fromkeys(s for v in around for s in trace[v].inputs if s not in around)
    for number, source in enumerate(incoming, 1):
        draft.add(("port", source), "port", "port", "pill", (f"from outside {number}",), key=source)
    opened = {call.path for stack in around.values() for call in stack}
    home = _add_visible(draft, trace, around, opened, path)
    home |= {source: ("port", source) for source in incoming}
    for vertex in around:
        operands = trace[vertex].inputs
        for source in operands:
            draft.link(home[source], home[vertex], source, operands.count(source))
    for vertex in around:
        if any(reader not in around for reader in trace.consumers[vertex]):
            draft.add(("leaves", vertex), "port", "port", "pill", ("to outside",), key=vertex)
            draft.link(home[vertex], ("leaves", vertex))
    return draft.finish(trace.name)


def _add_visible(
    draft: Draft, trace: TraceGraph, around: Around, opened: Collection[str], focus: str
) -> dict[str, object]:
    """Add vertices, closed calls and frames, and return the drawn name of each vertex."""
    closed = outermost_closed(around, opened)
    home: dict[str, object] = {}
    for vertex_id, stack in around.items():
        call = closed[vertex_id]
        frame, within = _frames(draft, trace, stack, call, focus)
        if call is None:
            home[vertex_id] = vertex_id
            v = trace[vertex_id]
            lines = operator_lines(trace, v, within)
            draft.add(
                vertex_id, "operator", role_of(v), form_of(v), lines, members=(vertex_id,), cluster=frame
            )
            continue
        name = home[vertex_id] = ("module", call.key)
        if name not in draft:
            members = tuple(call.vertices)
            lines = module_lines(trace, call.key, call.path, members, within)
            draft.add(
                name,
                "module",
                "module",
                "stack",
                lines,
                key=call.key,
                members=members,
                cluster=frame,
                module=call.path,
            )
    return home


def _frames(
    draft: Draft, trace: TraceGraph, stack: tuple[Call, ...], closed: Call | None, focus: str
) -> tuple[str | None, str]:
    """Return the innermost frame around a vertex and the path of its module, adding missing frames."""
    frame, within = None, focus
    for call in stack:
        if call is closed:
            break
        name = call.key.removeprefix(f"{within}.") if within else call.key
        title = " · ".join(shorten(part) for part in (name, trace.modules.get(call.path, "")) if part)
        frame = draft.frame(("module", call.key), title, frame, module=call.path, key=call.key)
        within = call.path
    return frame, within
