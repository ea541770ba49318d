"""The search space of a network: which structures may go, and what holds the rest together.

Built from a trace graph alone, so it is plain data: it can be saved as JSON and read where there is no torch.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakValueDictionary

from nasviz.errors import (
    ArgumentError,
    InvalidSettingError,
    InvalidSparsityError,
    UnknownVertexError,
    require_type,
)
from nasviz.extras import data_frame, repr_html
from nasviz.graph.channels.heads import DIMENSIONS, HEADS, WHOLE
from nasviz.graph.channels.space import ChannelSpace
from nasviz.graph.construction import ConstructionPlan, entailed_rows, plan
from nasviz.graph.segments import DependencyGraph, Segment, SegmentGraph, segment
from nasviz.graph.selection import (
    FROZEN,
    PROTECTED,
    Connectivity,
    SelectionStep,
    frozen_names,
    frozen_rows,
    frozen_segments,
    is_frozen_reason,
    steps,
)
from nasviz.graph.structures import (
    Discovery,
    Gate,
    RemovalStructure,
    Switchable,
    Variable,
    VariablePartition,
    gates,
    origins,
    own_parameters,
    own_switch,
    structure_reason,
    switchable_operations,
    zero_breaker,
)
from nasviz.graph.switches import Switch, find_branches, find_switches, tie
from nasviz.graph.trace_graph import Slice, TraceGraph

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = [
    "Group",
    "SearchSpace",
    "SpaceOptimizer",
    "from_first_version",
    "optimizer_of",
    "protection",
    "protection_text",
    "register_optimizer",
    "require_space",
    "search_space",
]

_ID = re.compile(r"id:(\d{1,9})", re.ASCII)


def protection(entry: int | str) -> int | str:
    """Return the id of a structure, or the name, that `entry` means.

    Raises:
        ArgumentError: It is neither an int nor text.

    Examples:
        >>> protection("id:5"), protection("5"), protection(5)
        (5, '5', 5)
    """
    if isinstance(entry, bool) or not isinstance(entry, int | str):
        raise ArgumentError(
            f"protect holds {entry!r:.80}; give ids of structures as int, and names of structures, vertices"
            " or modules as text"
        )
    found = _ID.fullmatch(entry) if isinstance(entry, str) else None
    return int(found[1]) if found else entry


def protection_text(entry: int | str) -> str:
    """Return the same as text.

    Examples:
        >>> protection_text(5), protection_text("layer1")
        ('id:5', 'layer1')
    """
    return f"id:{entry}" if isinstance(entry, int) else entry


def from_first_version(entry: int | str) -> int | str:
    """Return what an entry means that nasviz 0.1 wrote, where digits alone were an id.

    Examples:
        >>> from_first_version("5"), from_first_version("layer1")
        ('id:5', 'layer1')
    """
    return (
        f"id:{int(entry)}" if isinstance(entry, str) and re.fullmatch(r"\d{1,9}", entry, re.ASCII) else entry
    )


@dataclass(frozen=True, slots=True)
class Group:
    """All that must be zero when structures go: whole parameters, and rows of others."""

    tensors: tuple[str, ...]
    rows: tuple[Slice, ...]


class Traced(Protocol):
    """Anything that carries a trace graph, such as a `TracedNetwork`."""

    @property
    def trace_graph(self) -> TraceGraph: ...


def require_space(space: Any) -> None:
    """Refuse what is no search space.

    Raises:
        ArgumentError: The message says how to make one.
    """
    remedy = "make one of the traced network: nasviz.search_space(net)"
    require_type("space", space, SearchSpace, "a search space", remedy)


def search_space(
    network: TraceGraph | Traced,
    protect: Iterable[int | str] = (),
    collapse: Iterable[str] = (),
    optional: Iterable[str] = (),
    *,
    frozen: str = PROTECTED,
    heads: str = WHOLE,
) -> SearchSpace:
    """Generate the search space of a network (ASGNAS, Algorithm 2).

    Args:
        network: A trace graph, or what carries one.
        protect: What must stay: ids of structures as int, or names as text: of structures, vertices or
            modules. "3" is a module called 3; "id:3" is structure 3.
        collapse: Modules that count as one vertex each: class names, or patterns of paths.
        optional: Outputs whose loss is accepted, such as auxiliary heads: their names, or modules that they
            come from. What only they need may then go as a structure.
        frozen: What becomes of structures and channel groups with a parameter that does not require gradients
            at the time of this call. `protected`: they stay, and `why_not` names the parameter. `removable`:
            they may go as any other; an optimizer then sets what goes to zero, and scores that are taken from
            gradients are 0 there, so that they go first.
        heads: What attention loses as channel groups. `whole`: heads, where their number is free, elsewhere
            dimensions; `dimensions`: equal dimensions of all heads, everywhere, as SiDT does.

    Raises:
        InvalidSettingError: `frozen` or `heads` is none of its two values.
        UnknownVertexError: An entry names something that the network does not have.
        GraphError: A module to collapse hands out more than one value, or no output is required.
    """
    for name, entries in (("protect", protect), ("collapse", collapse), ("optional", optional)):
        if isinstance(entries, str) or not isinstance(entries, Iterable):
            raise ArgumentError(f"{name}={entries!r:.80} is no list; write {name}=[{entries!r:.80}]")
    found = network if isinstance(network, TraceGraph) else getattr(network, "trace_graph", None)
    remedy = "trace the model first: net = nasviz.trace(model, example_inputs)"
    require_type("network", network if found is None else found, TraceGraph, "a traced network", remedy)
    assert isinstance(found, TraceGraph)
    trace = found
    trace = trace.with_optional(optional)
    if frozen not in FROZEN:
        raise InvalidSettingError(f"frozen={frozen!r}: choose one of {', '.join(FROZEN)}")
    if heads not in HEADS:
        raise InvalidSettingError(f"heads={heads!r}: choose one of {', '.join(HEADS)}")
    if (untrained := frozen_names(network)) is not None:
        trace = replace(trace, frozen=untrained)
    names = tuple(collapse)
    return SearchSpace(segment(trace, names), tuple(protect), names, frozen, heads)


@dataclass(frozen=True)
class SearchSpace:
    """Removal structures of a network, with the questions one asks about erasing them."""

    segments: SegmentGraph
    protect: tuple[int | str, ...] = ()
    collapse: tuple[str, ...] = ()
    frozen: str = PROTECTED
    """Whether what has a frozen parameter stays (`protected`) or may go (`removable`)."""
    heads: str = WHOLE
    """Whether attention loses `whole` heads where it can, or equal `dimensions` of all heads."""

    def __repr__(self) -> str:
        most = f", at most {self.max_sparsity} at once" if self.removable else ""
        return (
            f"SearchSpace({self.trace.name}: {len(self.segments)} segments, {len(self.removable)} of"
            f" {len(self.structures)} structures removable{most})"
        )

    _repr_html_ = repr_html

    def rows(self) -> list[dict[str, Any]]:
        """Return the table of the structures as plain data."""
        return [
            {
                "id": s.id,
                "structure": s.name,
                "parameters": s.num_parameters,
                "MACs": s.macs,
                "removable": s.is_removable,
                "why not": s.reason or "",
            }
            for s in self.structures
        ]

    def table(self) -> DataFrame:
        """Return the structures as a pandas data frame: sizes, and why some cannot be removed."""
        return data_frame(self.rows()).set_index("id")

    def __post_init__(self) -> None:
        # Unknown names are refused here, and all that selection and training ask for is found here: both then
        # read plain data only.
        _ = self.protected, self.structures, self.max_sparsity

    @property
    def trace(self) -> TraceGraph:
        """The trace graph."""
        return self.segments.trace

    @cached_property
    def dependency(self) -> DependencyGraph:
        """Vertices by kind, and which share their channels (OTOv3, section 3.1)."""
        return DependencyGraph(self.trace)

    @cached_property
    def channels(self) -> ChannelSpace:
        """What can be cut inside operators: channel groups (OTOv2)."""
        return ChannelSpace(
            self.trace,
            frozenset(self.segments.vertices_of(self._named)),
            self.untouchable,
            has_heads=self.heads == WHOLE,
        )

    @cached_property
    def structures(self) -> tuple[RemovalStructure, ...]:
        """All removal structures, also those that cannot go after all and say why, by id."""
        found = self._discovery
        return tuple(self._structure(s, found.shared) for s in self.segments if found.why_not(s) is None)

    @cached_property
    def removable(self) -> tuple[RemovalStructure, ...]:
        """The structures that count: G_s of the documents."""
        return tuple(s for s in self.structures if s.is_removable)

    @cached_property
    def partition(self) -> VariablePartition:
        """All parameters, divided into G_s and its complement (ASGNAS, Algorithm 2, lines 13-16)."""
        homes = {name: s.id for s in self.removable for name in s.parameter_names}
        readers, found = self.trace.parameter_readers, origins(self.segments)
        return VariablePartition(
            tuple(
                Variable(name, shape, tuple(readers.get(name, ())), homes.get(name), found.get(name, ()))
                for name, shape in self.trace.parameter_shapes.items()
            )
        )

    @cached_property
    def gates(self) -> tuple[Gate, ...]:
        """Branches that may be replaced by their value at zero; they do not count towards K."""
        return tuple(gate for gate in gates(self.segments) if gate.id not in self.protected)

    @cached_property
    def switchable(self) -> tuple[Switchable, ...]:
        """Operations without variables, which only a switch could make removable; not counted in K."""
        return switchable_operations(self.segments, self._discovery.objections)

    @cached_property
    def switches(self) -> tuple[Switch, ...]:
        """The switches that were put into the network, in the order in which it runs them."""
        return find_switches(self.segments)

    def tied(self, cells: Iterable[str]) -> dict[int, int]:
        """Return for each removable structure the first one at its place in cells of one type, or itself.

        Args:
            cells: Classes of the cells, or patterns of their paths.

        Raises:
            UnknownVertexError: A name matches no module.
        """
        branches = find_branches(self.segments, [s.vertices[-1] for s in self.removable])
        twins = tie(self.segments, branches, cells)
        ids = {branch.vertex: branch.structure for branch in branches}
        return {ids[vertex]: ids[twin] for vertex, twin in twins.items()}

    @cached_property
    def max_sparsity(self) -> int:
        """K_max: how many structures can go together before something required is cut off."""
        witness = self.connectivity.witness(())
        return 0 if witness is None else len(self.removable) - len(witness)

    @cached_property
    def connectivity(self) -> Connectivity:
        """What must stay connected."""
        return Connectivity(
            self.segments,
            sinks=self._discovery.sinks | self.protected,
            protected=self.protected,
            priced=frozenset(s.id for s in self.removable),
        )

    def structure(self, structure_id: int) -> RemovalStructure:
        """One structure.

        Raises:
            UnknownVertexError: No structure has this id.
        """
        try:
            return self._by_id[structure_id]
        except KeyError:
            known = ", ".join(str(s.id) for s in self.structures[:20])
            message = f"no removal structure {structure_id!r}; this network has {known or 'none'}"
            raise UnknownVertexError(message) from None

    def structures_of(self, modules: Iterable[str]) -> tuple[int, ...]:
        """Return the ids of the removable structures that contain these modules; others are left out."""
        wanted = set(modules)
        return tuple(
            s.id
            for s in self.removable
            if any(wanted & {self.trace[v].module, *self.trace[v].scope} for v in s.vertices)
        )

    def why_not(self, vertex_id: str) -> str | None:
        """Return why a vertex cannot be erased, in words; `None` where it can."""
        s = self.segments.of(vertex_id)
        reason = self._discovery.why_not(s) or self._by_id[s.id].reason
        gate = self._gate_by_id.get(s.id)
        return f"{reason}; {gate.offer}" if reason and gate else reason

    @cached_property
    def untouchable(self) -> frozenset[str]:
        """The frozen parameters, unless what holds them may go."""
        return frozenset(self.trace.frozen) if self.frozen == PROTECTED else frozenset()

    def freezing(self, names: Collection[str]) -> SearchSpace:
        """This space, with further frozen parameters; ids stay what they are.

        Where frozen structures may go, that is this space itself.
        """
        added = set(names).intersection(self.trace.parameter_shapes).difference(self.trace.frozen)
        if not added or self.frozen != PROTECTED:
            return self
        return self.on(replace(self.trace, frozen=(*self.trace.frozen, *sorted(added))))

    def on(self, trace: TraceGraph, protect: Iterable[int | str] | None = None) -> SearchSpace:
        """Return the search space of another trace graph with the same options, or another `protect`."""
        entries = self.protect if protect is None else protect
        return search_space(trace, entries, self.collapse, frozen=self.frozen, heads=self.heads)

    def is_valid(self, erased: Iterable[int]) -> bool:
        """Return whether the network stays connected and equals the zeroed one without these structures."""
        ids = {self.structure(i).id for i in erased}
        return (
            all(self._by_id[i].is_removable for i in ids)
            and self.connectivity.is_valid(ids)
            and self._written_frozen(ids) is None
        )

    def closure(self, erased: Iterable[int]) -> frozenset[int]:
        """Ids of the segments that are gone with these structures: they and what they orphan."""
        return self.connectivity.closure(self.structure(i).id for i in erased)

    def select(
        self,
        saliency: Mapping[int, float],
        k: int,
        hierarchical: bool = True,
        lookahead: bool = True,
    ) -> tuple[int, ...]:
        """The `k` structures of lowest saliency that may go together (ASGNAS, Algorithm 3, lines 6-10).

        With lookahead exactly `k` come back for every `k` up to `max_sparsity`.

        Raises:
            InvalidSparsityError: `k` is below 0 or above what can go.
            UnknownVertexError: A removable structure has no score, or a score no removable structure.
        """
        chosen: tuple[int, ...] = ()
        for step in self.selection_steps(saliency, k, hierarchical=hierarchical, lookahead=lookahead):
            chosen = step.erased
        if hierarchical and (name := self._written_frozen(chosen)):
            raise InvalidSparsityError(_together(self, chosen, name))
        return chosen

    def selection_steps(
        self,
        saliency: Mapping[int, float],
        k: int,
        *,
        hierarchical: bool = True,
        lookahead: bool = True,
    ) -> Iterator[SelectionStep]:
        """The fate of each candidate, in the order in which `select` looks at them."""
        self.check_sparsity(k, limit=self.max_sparsity if hierarchical else len(self.removable))
        wanted = {s.id for s in self.removable}
        if odd := sorted(wanted.symmetric_difference(saliency)):
            raise UnknownVertexError(f"saliency must score each removable structure once; look at {odd[:10]}")
        return steps(self.connectivity, saliency, k, hierarchical=hierarchical, lookahead=lookahead)

    def check_sparsity(self, k: int, *, limit: int | None = None) -> None:
        """Refuse a number of structures that cannot go together.

        Raises:
            InvalidSparsityError: `k` is below 0 or above `limit` (K_max when it is left out).
        """
        limit = self.max_sparsity if limit is None else limit
        if k < 0:
            raise InvalidSparsityError(f"target_sparsity={k}: choose a number from 0 to {limit}")
        if k > limit:
            raise InvalidSparsityError(
                f"target_sparsity={k} asks to erase {k} of {len(self.removable)} removal structures, but only"
                f" {limit} can go before an output is cut off; choose at most {limit}{self._frozen_too()}"
            )

    def gate(self, gate_id: int) -> Gate:
        """One gate.

        Raises:
            UnknownVertexError: No gate has this id.
        """
        if gate_id not in self._gate_by_id:
            known = ", ".join(str(i) for i in self._gate_by_id) or "none"
            raise UnknownVertexError(f"no gate {gate_id!r}; this network has {known}")
        return self._gate_by_id[gate_id]

    def check_erased(self, erased: Iterable[int]) -> tuple[int, ...]:
        """The ids in order, each once, after a check that they may go together.

        Raises:
            InvalidSparsityError: One of them cannot go, or together they cut something off.
        """
        if isinstance(erased, str) or not isinstance(erased, Iterable):
            raise ArgumentError(f"erased={erased!r:.80} is no list; give ids of structures, such as [0, 2]")
        ids = tuple(sorted({self.structure(i).id for i in erased}))
        for i in ids:
            if reason := self._by_id[i].reason:
                raise InvalidSparsityError(
                    f"structure {i} ({self._by_id[i].name}) cannot be erased: {reason}"
                )
        if name := self._written_frozen(ids):
            raise InvalidSparsityError(_together(self, ids, name))
        if not self.connectivity.is_valid(ids):
            names = ", ".join(self._by_id[i].name for i in ids)
            raise InvalidSparsityError(
                f"erasing {names} together cuts something required off; keep at least one of them"
            )
        return ids

    def plan(
        self, erased: Iterable[int], gates: Iterable[int] = (), channels: Iterable[int] = ()
    ) -> ConstructionPlan:
        """Plan the construction without these structures and channel groups; predict parameters and MACs.

        Raises:
            InvalidSparsityError: They may not go together.
        """
        ids = self.check_erased(erased)
        cut = self._cut(channels)
        return plan(
            self.segments,
            ids,
            self.closure(ids),
            {s.id for s in self.removable},
            [self.gate(i) for i in sorted(set(gates))],
            cut,
            self.channels.narrowed(cut) if cut else {},
        )

    def group(self, erased: Iterable[int], gates: Iterable[int] = (), channels: Iterable[int] = ()) -> Group:
        """Return what must be zero in the full network when these go, the structures' closure included."""
        ids = self.check_erased(erased)
        gone = self.closure(ids) | {self.gate(i).id for i in gates}
        inside = set(self.segments.vertices_of(gone))
        shared = self._discovery.shared
        tensors = tuple(
            name
            for i in sorted(gone)
            for name in self.segments[i].parameters
            if inside.issuperset(shared.get(name, ()))
        )
        buffers = [name for v in self.trace for name in v.silent_buffers if v.id in inside]
        cut = self._cut(channels)
        rows = (
            *entailed_rows(self.segments, self.closure(ids)),
            *(self.channels.slices(cut) if cut else ()),
        )
        names = tuple(dict.fromkeys((*tensors, *buffers)))
        return Group(names, tuple(r for r in rows if r.tensor not in names))

    def _cut(self, channels: Iterable[int]) -> tuple[int, ...]:
        """Channel groups, checked; most plans cut none, and need not know what could be cut."""
        ids = tuple(channels)
        return self.channels.check(ids) if ids else ()

    def to_json(self) -> dict[str, Any]:
        """Plain data, ready for `json.dumps`; everything else follows from it."""
        entries = {"protect": list(self.protect), "collapse": list(self.collapse)}
        options = {"frozen": self.frozen, "heads": self.heads}
        return {"version": 2, "trace": self.trace.to_json()} | entries | options

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SearchSpace:
        """The space that `to_json` wrote."""
        protect = data["protect"]
        if "version" not in data:
            protect = [from_first_version(entry) for entry in protect]
        trace, frozen = TraceGraph.from_json(data["trace"]), data.get("frozen", PROTECTED)
        # Before there were whole heads, attention lost dimensions: ids of its groups are those of then.
        heads = data.get("heads", DIMENSIONS)
        return search_space(trace, protect, data["collapse"], frozen=frozen, heads=heads)

    @cached_property
    def _discovery(self) -> Discovery:
        return Discovery(self.segments)

    @cached_property
    def _gate_by_id(self) -> dict[int, Gate]:
        return {gate.id: gate for gate in self.gates}

    @cached_property
    def _by_id(self) -> dict[int, RemovalStructure]:
        return {s.id: s for s in self.structures}

    def _structure(self, s: Segment, shared: dict[str, tuple[str, ...]]) -> RemovalStructure:
        reason = structure_reason(self.segments, s, shared)
        breaker = zero_breaker((self.trace[v] for v in s.vertices), (), from_zero=False)
        if s.id in self._named:
            reason = "you protected it"
        elif reason is None:
            reason = self._frozen.get(s.id)
        own = own_parameters(s, shared) if reason is None else s.parameters
        gone = Connectivity(self.segments, frozenset(), frozenset(), frozenset()).closure([s.id])
        return RemovalStructure(
            id=s.id,
            name=s.name,
            vertices=s.vertices,
            parameter_names=own,
            num_parameters=sum(prod(self.trace.parameter_shapes[p]) for p in own),
            macs=s.macs,
            zero_invariant=breaker is None,
            reason=reason,
            entailed=entailed_rows(self.segments, gone),
            switch=own_switch(self.segments, s, shared),
        )

    @cached_property
    def protected(self) -> frozenset[int]:
        """Ids of the segments that `protect` names, and of those that hold a frozen parameter."""
        return self._named | self._frozen.keys()

    @cached_property
    def frozen_structures(self) -> tuple[RemovalStructure, ...]:
        """The structures that could go, were none of their parameters frozen."""
        return tuple(s for s in self.structures if is_frozen_reason(s.reason))

    @cached_property
    def _frozen(self) -> dict[int, str]:
        return frozen_segments(self.segments, self.untouchable)

    def _written_frozen(self, erased: Iterable[int]) -> str | None:
        """Return a frozen parameter of another segment that would need zero rows; `None` if there is none."""
        return frozen_rows(self.segments, self.closure(erased), self.untouchable)

    def _frozen_too(self) -> str:
        """Return how many structures are frozen, to follow a message that says how many can go."""
        count = len(self.frozen_structures)
        return (
            f" ({count} more {'is' if count == 1 else 'are'} frozen: train all of their parameters, or"
            " generate the search space with frozen='removable')"
            if count
            else ""
        )

    @cached_property
    def _named(self) -> frozenset[int]:
        """Ids of the segments that `protect` names."""
        found: set[int] = set()
        for entry in self.protect:
            meant = protection(entry)
            hits = {s.id for s in self.segments if self._names(s, meant)}
            if not hits:
                what = "no structure has this id"
                if isinstance(meant, str):
                    what = "no structure, vertex or module has this name"
                if str(entry).isdecimal():
                    what += "; the id of a structure is an int, or id:N in text"
                raise UnknownVertexError(f"cannot protect {entry!r}: {what}")
            found |= hits
        return frozenset(found)

    def _names(self, s: Segment, entry: int | str) -> bool:
        if isinstance(entry, int):
            return s.id == entry
        return s.name == entry or any(
            entry in (v.id, v.name, v.module) or entry in v.scope for v in (self.trace[i] for i in s.vertices)
        )


def _together(space: SearchSpace, erased: Iterable[int], name: str) -> str:
    names = ", ".join(space.structure(i).name for i in erased)
    return (
        f"erasing {names} together needs zeros in {name}, which is frozen; keep one of them, train that"
        " parameter too, or generate the search space with frozen='removable'"
    )


class SpaceOptimizer(Protocol):
    """What is asked of an optimizer over a search space."""

    space: SearchSpace

    @property
    def phase(self) -> str:
        """`warm-up`, `projection`, `search` or `training`."""

    @property
    def selected(self) -> Sequence[int]:
        """The structures chosen to go."""


_OPTIMIZERS: WeakValueDictionary[int, SpaceOptimizer] = WeakValueDictionary()
"""By the id of the space, which lives as long as the optimizer: that refers to it."""


def register_optimizer(space: SearchSpace, optimizer: SpaceOptimizer) -> None:
    """Note that `optimizer` works for `space`; the last one counts. Neither is kept alive by this."""
    optimizer.space = space
    _OPTIMIZERS[id(space)] = optimizer


def optimizer_of(space: SearchSpace) -> SpaceOptimizer | None:
    """Return the optimizer that works for this very space, if it is still in use."""
    found = _OPTIMIZERS.get(id(space))
    return found if found is not None and found.space is space else None
