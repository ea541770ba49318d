"""Places for switches: the operations of a network that end in joints, and vertices that a person names."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from nasviz.errors import GraphError, UnknownVertexError
from nasviz.graph.space import SearchSpace
from nasviz.graph.structures.switches import is_switch
from nasviz.graph.trace_graph import TraceGraph

__all__ = ["Place", "choose", "places"]


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
        wishes = (where,) if isinstance(where, str) else tuple(where)
        chosen = [place for wish in wishes for place in _named(trace, offered, wish)]
        chosen = list({(place.source, place.readers): place for place in chosen}.values())
    if not chosen:
        raise GraphError(f"{trace.name} has no operation for a switch where={where!r}: none ends in a joint")
    return chosen


def _named(trace: TraceGraph, offered: Sequence[Place], wish: str) -> list[Place]:
    """Places of this name, or behind the vertices of this name, wherever they stand."""
    if named := [p for p in offered if wish in (p.name, p.key)]:
        return named
    hits = [v for v in trace if wish in (v.id, v.name, v.module)]
    if not hits:
        raise UnknownVertexError(f"cannot switch {wish!r}: no operation, vertex or module has this name")
    return [Place(v.id, trace.consumers[v.id], v.name, v.id, is_bare=not v.parameters) for v in hits]
