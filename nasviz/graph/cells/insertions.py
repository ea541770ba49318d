"""Multiplications put into a trace graph: their vertices, their names, and the graph that has them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count

from nasviz.errors import GraphError
from nasviz.graph.cells.switch_sites import Place
from nasviz.graph.structures.channel_axes import channel_axes
from nasviz.graph.structures.switches import SCOPE, is_switch
from nasviz.graph.trace_graph import TraceGraph, Vertex

__all__ = ["Insertion", "free_name", "insertions_at", "with_insertions"]


@dataclass(frozen=True, slots=True)
class Insertion:
    """One multiplication that is put into a network."""

    vertex: Vertex
    """As it stands in the trace graph afterwards; its only operand is what it scales."""
    readers: tuple[str, ...]
    """Vertices and virtual outputs that read it instead of its operand."""


def insertions_at(trace: TraceGraph, places: Sequence[Place], *, per_channel: bool) -> tuple[Insertion, ...]:
    """A multiplication at each place, by a parameter of its own, in the order in which they will run.

    Raises:
        GraphError: A value has no channel axis, and `per_channel` asks for one.
    """
    axes = channel_axes(trace) if per_channel else None
    scope = _free_scope(trace)
    order = {v.id: place for place, v in enumerate(trace)}
    made = [_insertion(trace, place, scope, axes) for place in places]
    made.sort(key=lambda i: _place(trace, order, i))
    taken = {v.name for v in trace} | {v.id for v in (*trace.inputs, *trace, *trace.outputs)}
    numbers: dict[str, count[int]] = {}
    return tuple(replace(i, vertex=_named(i.vertex, taken, numbers)) for i in made)


def with_insertions(
    trace: TraceGraph, insertions: Sequence[Insertion], parameters: Mapping[str, tuple[int, ...]]
) -> TraceGraph:
    """`trace` with multiplications before their first readers, and with the parameters that they read."""
    moved = {(reader, i.vertex.inputs[0]): i.vertex.id for i in insertions for reader in i.readers}
    order = {v.id: place for place, v in enumerate(trace)}
    before: dict[int, list[Vertex]] = {}
    for insertion in insertions:
        before.setdefault(_place(trace, order, insertion)[0], []).append(insertion.vertex)
    vertices: list[Vertex] = []
    for place, vertex in enumerate(trace):
        vertices += before.get(place, ())
        inputs = tuple(moved.get((vertex.id, source), source) for source in vertex.inputs)
        vertices.append(replace(vertex, inputs=inputs) if inputs != vertex.inputs else vertex)
    made = replace(
        trace,
        vertices=(*vertices, *before.get(len(order), ())),
        outputs=tuple(replace(o, source=moved.get((o.id, o.source), o.source)) for o in trace.outputs),
        parameter_shapes=dict(trace.parameter_shapes) | dict(parameters),
    )
    made.lint()
    return made


def free_name(trace: TraceGraph, name: str) -> str:
    """`name`, or with underscores behind it one that no parameter has."""
    while name in trace.parameter_shapes:
        name += "_"
    return name


def _place(trace: TraceGraph, order: Mapping[str, int], insertion: Insertion) -> tuple[int, int]:
    """The vertex before which a multiplication stands, behind all where an output reads it; which operand."""
    first = min(insertion.readers, key=lambda reader: order.get(reader, len(order)))
    if first not in order:
        return len(order), 0
    return order[first], trace[first].inputs.index(insertion.vertex.inputs[0])


def _free_scope(trace: TraceGraph) -> str:
    """Name of the module that holds the switches; one with switches in it goes on being used."""
    scope = SCOPE
    ours = {v.parameters[0].partition(".")[0] for v in trace if is_switch(v)}
    names = {
        name.partition(".")[0] for name in (*trace.modules, *trace.parameter_shapes, *trace.buffer_shapes)
    }
    while scope in {name.partition(".")[0] for name in names} - ours:
        scope += "_"
    return scope


def _insertion(
    trace: TraceGraph, place: Place, scope: str, axes: Mapping[str, int | None] | None
) -> Insertion:
    virtual = {i.id: i for i in trace.inputs}
    given = virtual.get(place.source) or trace[place.source]
    shape: tuple[int, ...] = ()
    if axes is not None:
        axis = axes[place.source]
        if axis is None or given.shape[axis] < 0:
            raise GraphError(f"{place.name} has no channel axis, so no switch for each of its channels")
        shape = (given.shape[axis], *[1] * (len(given.shape) - axis - 1))
    parameter = free_name(trace, f"{scope}.{place.key}")
    return Insertion(
        Vertex(
            id="",
            name="",
            operator="mul",
            inputs=(place.source,),
            shape=given.shape,
            dtype=given.dtype,
            type_name="mul",
            scope=_common_scope(trace, place.readers),
            parameters=(parameter,),
            tensors={"other": parameter},
            attributes={"factor_shape": shape},
            keeps_zero=True,
            annihilates=True,
            closes=True,
        ),
        place.readers,
    )


def _common_scope(trace: TraceGraph, ids: Iterable[str]) -> tuple[str, ...]:
    scopes = [trace[i].scope for i in ids if i in trace]
    shared: list[str] = []
    for around in zip(*scopes, strict=False):
        if len(set(around)) > 1:
            break
        shared.append(around[0])
    return tuple(shared)


def _named(vertex: Vertex, taken: set[str], numbers: dict[str, count[int]]) -> Vertex:
    """`vertex` with an id and a name in its scope that nothing has, from now on taken."""
    name = plain = f"{vertex.scope[-1]}.switch" if vertex.scope else "switch"
    while name in taken or _identifier(name) in taken:
        name = f"{plain}_{next(numbers.setdefault(plain, count(1)))}"
    taken |= {name, _identifier(name)}
    return replace(vertex, id=_identifier(name), name=name)


def _identifier(name: str) -> str:
    """`name` as a trace names nodes."""
    text = re.sub(r"\W", "_", name)
    return f"_{text}" if text[:1].isdigit() else text
