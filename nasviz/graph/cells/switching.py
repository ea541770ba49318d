"""Where switches go, and which parameters they read: the rewrite of a network, planned on its trace graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from nasviz.errors import InvalidSettingError
from nasviz.graph.cells.insertions import Insertion, free_name, insertions_at, with_insertions
from nasviz.graph.cells.switch_sites import choose, places
from nasviz.graph.protection import protection
from nasviz.graph.space import SearchSpace
from nasviz.graph.structures.cell_tying import tie
from nasviz.graph.structures.switches import Switch
from nasviz.graph.trace_graph import TraceGraph, Vertex

__all__ = ["SwitchPlan", "count_switchable", "plan_switches"]

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
        UnknownVertexError: A wish names nothing in the network.
        GraphError: Nothing is left to be switched, or a value has no channel axis.
    """
    cells = tuple(cells)
    _check(kind, over, per_channel, cells)
    trace, wishes = space.trace, _lasting(space)
    chosen = choose(trace, places(space, frozenset(joints)), where)
    alone = insertions_at(trace, chosen, per_channel=per_channel)
    new = {i.vertex.id for i in alone}
    first = space.on(with_insertions(trace, alone, _shapes(alone)), wishes)
    switches = [switch for switch in first.switches if switch.vertex in new]
    twins = {s.vertex: s.vertex for s in switches} | (tie(first.segments, switches, cells) if cells else {})
    related = (
        _tied(first.trace, twins) if kind == "plain" else _in_softmax(first.trace, switches, twins, over)
    )
    final = tuple(replace(i, vertex=related[i.vertex.id]) for i in alone)
    parameters = _shapes(final)
    made = space.on(with_insertions(trace, final, parameters), wishes)
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
    """What is protected, by names that last: ids of segments count anew in every network."""
    return [
        space.segments[wish].vertices[-1] if isinstance(wish, int) else wish
        for wish in map(protection, space.protect)
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
