"""Switches put into a trace graph: where they may stand, their vertices, and the graph with them."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count

from nasviz.errors import GraphError, InvalidSettingError, UnknownVertexError
from nasviz.graph.space import SearchSpace, protection
from nasviz.graph.structures import channel_axes
from nasviz.graph.switches import Switch, tie
from nasviz.graph.trace_graph import SCOPE, TraceGraph, Vertex, is_switch

__all__ = [
    "Insertion",
    "Place",
    "SwitchPlan",
    "branches",
    "choose",
    "count_switchable",
    "free_name",
    "insertions_at",
    "places",
    "plan_switches",
    "with_insertions",
]


def branches(space: SearchSpace) -> dict[str, tuple[str, ...]]:
    """Return for each switch, by its vertex: the vertices of its operation, in the order in which they run.

    Empty on an identity edge. An operation may span several segments, such as a strided identity of DARTS.
    """
    trace = space.trace
    ends = {node for switch in space.switches for node in switch.nodes}
    order = {vertex.id: place for place, vertex in enumerate(trace)}
    found: dict[str, tuple[str, ...]] = {}
    for switch in space.switches:
        branch = {switch.vertex}
        waiting = deque([switch.source])
        while waiting:
            vertex = waiting.popleft()
            is_wanted = vertex in trace and vertex not in branch and vertex not in ends
            if is_wanted and branch.issuperset(trace.consumers[vertex]):
                branch.add(vertex)
                waiting.extend(trace[vertex].inputs)
        found[switch.vertex] = tuple(sorted(branch - {switch.vertex}, key=order.__getitem__))
    return found


@dataclass(frozen=True, slots=True)
class Place:
    """Where a switch may go."""

    source: str
    readers: tuple[str, ...]
    name: str
    key: str
    is_bare: bool
    """Whether nothing else could silence the operation."""


def places(space: SearchSpace, joints: Collection[str]) -> list[Place]:
    """All places that end in one of these joints, by the order of their sources."""
    trace = space.trace

    def fits(readers: Iterable[str]) -> bool:
        return any(r in trace and trace[r].is_joint and trace[r].operator in joints for r in readers)

    found: dict[tuple[str, tuple[str, ...]], Place] = {}
    for structure in space.structures:
        exit_id = structure.vertices[-1]
        readers = trace.consumers[exit_id]
        if fits(readers) and structure.id not in space.connectivity.protected:
            found[exit_id, readers] = Place(exit_id, readers, structure.name, exit_id, is_bare=False)
    for bare in space.switchable:
        readers = trace.consumers[bare.source] if bare.vertices else bare.joints
        key = bare.source if bare.vertices else f"{bare.source}_to_{bare.joints[0]}"
        if fits(readers) and space.segments.of(bare.source).id not in space.connectivity.protected:
            found[bare.source, readers] = Place(bare.source, readers, bare.name, key, is_bare=True)
    order = {v.id: place for place, v in enumerate(trace)}
    return sorted(
        (p for p in found.values() if p.source not in trace or not is_switch(trace[p.source])),
        key=lambda p: order.get(p.source, -1),
    )


def choose(trace: TraceGraph, offered: Sequence[Place], where: str | Iterable[str]) -> list[Place]:
    """The places that `where` asks for: `all`, `structures`, `switchable`, or names of places or vertices.

    Raises:
        UnknownVertexError: A name names nothing in the network.
        GraphError: No place is left.
    """
    if where == "all":
        chosen = list(offered)
    elif where in ("structures", "switchable"):
        chosen = [place for place in offered if place.is_bare == (where == "switchable")]
    else:
        entries = (where,) if isinstance(where, str) else tuple(where)
        chosen = [place for entry in entries for place in _places_named(trace, offered, entry)]
        chosen = list({(place.source, place.readers): place for place in chosen}.values())
    if not chosen:
        raise GraphError(f"{trace.name} has no operation for a switch where={where!r}: none ends in a joint")
    return chosen


def _places_named(trace: TraceGraph, offered: Sequence[Place], entry: str) -> list[Place]:
    """Places of this name, or behind the vertices of this name, wherever they stand."""
    if named := [p for p in offered if entry in (p.name, p.key)]:
        return named
    hits = [v for v in trace if entry in (v.id, v.name, v.module)]
    if not hits:
        raise UnknownVertexError(f"cannot switch {entry!r}: no operation, vertex or module has this name")
    return [Place(v.id, trace.consumers[v.id], v.name, v.id, is_bare=not v.parameters) for v in hits]


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


KINDS = ("plain", "softmax")
OVER = ("edge", "node")


@dataclass(frozen=True, slots=True)
class SwitchPlan:
    """What has to be done to a network to give it switches."""

    space: SearchSpace
    """The search space with the switches."""
    insertions: tuple[Insertion, ...]
    """In the order in which the network runs them."""
    parameters: Mapping[str, tuple[int, ...]]
    """New parameters with their shapes."""


def plan_switches(
    space: SearchSpace,
    *,
    kind: str = "plain",
    over: str = "edge",
    where: str | Iterable[str] = "all",
    joints: Iterable[str] = ("add", "sub", "cat"),
    cells: Iterable[str] = (),
    per_channel: bool = False,
) -> SwitchPlan:
    """Plan the switches of a network (see `nasviz.add_switches`, which carries it out).

    Raises:
        InvalidSettingError: A setting is none of those that there are, or two do not fit each other.
        UnknownVertexError: An entry names nothing in the network.
        GraphError: Nothing is left to be switched, or a value has no channel axis.
    """
    cells = tuple(cells)
    _check(kind, over, per_channel, cells)
    trace, entries = space.trace, _lasting(space)
    chosen = choose(trace, places(space, frozenset(joints)), where)
    alone = insertions_at(trace, chosen, per_channel=per_channel)
    new = {i.vertex.id for i in alone}
    first = space.on(with_insertions(trace, alone, _shapes(alone)), entries)
    switches = [switch for switch in first.switches if switch.vertex in new]
    twins = {s.vertex: s.vertex for s in switches} | (tie(first.segments, switches, cells) if cells else {})
    related = (
        _tied(first.trace, twins) if kind == "plain" else _in_softmax(first.trace, switches, twins, over)
    )
    final = tuple(replace(i, vertex=related[i.vertex.id]) for i in alone)
    parameters = _shapes(final)
    made = space.on(with_insertions(trace, final, parameters), entries)
    return SwitchPlan(made, final, parameters)


def count_switchable(space: SearchSpace) -> SearchSpace:
    """The search space as it would be with a switch on each operation without variables.

    They are removal structures there, and K counts them. Nothing is put into a network: only
    `nasviz.add_switches` does that. Without such operations it is `space` itself.
    """
    return plan_switches(space, where="switchable").space if space.switchable else space


def _check(kind: str, over: str, per_channel: bool, cells: Sequence[str]) -> None:
    if kind not in KINDS:
        raise InvalidSettingError(f"kind={kind!r}: choose one of {', '.join(KINDS)}")
    if over not in OVER:
        raise InvalidSettingError(f"over={over!r}: choose one of {', '.join(OVER)}")
    if per_channel and (kind == "softmax" or cells):
        what = (
            "a softmax weighs whole operations" if kind == "softmax" else "tied cells differ in their widths"
        )
        raise InvalidSettingError(f"per_channel=True: {what}; choose kind='plain' and no cells")


def _lasting(space: SearchSpace) -> list[int | str]:
    """Return what is protected, by names that last: segments are numbered again in every network."""
    return [
        space.segments[entry].vertices[-1] if isinstance(entry, int) else entry
        for entry in map(protection, space.protect)
    ]


def _shapes(insertions: Sequence[Insertion]) -> dict[str, tuple[int, ...]]:
    """Shape of every parameter that multiplications read: of a softmax, as many as it weighs."""
    shapes: dict[str, tuple[int, ...]] = {}
    for vertex in (i.vertex for i in insertions):
        name, index, shape = (
            vertex.parameters[0],
            vertex.attributes.get("index"),
            vertex.attributes["factor_shape"],
        )
        if isinstance(index, int):
            shapes[name] = (max(index + 1, *shapes.get(name, (0,))),)
        elif isinstance(shape, tuple):
            shapes[name] = tuple(size for size in shape if size is not None)
    return shapes


def _tied(trace: TraceGraph, twins: Mapping[str, str]) -> dict[str, Vertex]:
    """Vertices that read the parameter of their twin."""
    return {
        v: replace(trace[v], parameters=trace[twin].parameters, tensors=trace[twin].tensors)
        for v, twin in twins.items()
    }


def _in_softmax(
    trace: TraceGraph, switches: Sequence[Switch], twins: Mapping[str, str], over: str
) -> dict[str, Vertex]:
    """Vertices that read their place in the softmax of their edge or node; cells of one type share it."""
    groups: dict[object, list[Switch]] = {}
    for switch in switches:
        groups.setdefault(switch.edge if over == "edge" else switch.edge[1], []).append(switch)
    names: dict[tuple[str, ...], str] = {}
    made: dict[str, Vertex] = {}
    for members in groups.values():
        (origin, node), scope = members[0].edge, members[0].parameter.partition(".")[0]
        key = f"{scope}.{node}_from_{origin}" if over == "edge" else f"{scope}.{node}"
        name = names.setdefault(tuple(twins[s.vertex] for s in members), free_name(trace, key))
        for index, switch in enumerate(members):
            made[switch.vertex] = replace(
                trace[switch.vertex],
                parameters=(name,),
                tensors={},
                attributes={"computed": True, "factor_shape": (), "relation": "softmax", "index": index},
                annihilates=False,
            )
    return made
