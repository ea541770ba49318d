"""Removal structures: the segments that may be erased, and the reasons of those that may not.

ASGNAS (section 3.1, "Discovery of removal structures"): a segment is a removal structure when it owns
trainable variables and all its successors are joints. Two conditions are added so that erasing equals
projecting to zero exactly: each of those joints must accept the loss of an operand (an addition, or a
concatenation of channels), and the segment must emit zero once its variables are zero. A product on the way
passes the zero on: what it multiplies goes too. A concatenation along tokens or positions may not lose an
operand, because zero tokens still take part in what follows (a softmax over positions, for example); so the
axis of the channels is followed too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from heapq import heappop, heappush
from math import inf, prod
from typing import Any

from nasviz.graph.operators.moves import Dropped, Reshaped, Turned
from nasviz.graph.operators.rules import Role
from nasviz.graph.operators.zeros import (
    Zeros,
    is_foreign,
    move_of,
    no_rule,
    number_after,
    pass_through,
    value_at_zero,
)
from nasviz.graph.segments import Segment, SegmentGraph
from nasviz.graph.trace_graph import Slice, TraceGraph, Vertex, is_switch

__all__ = [
    "Discovery",
    "Gate",
    "Origin",
    "RemovalStructure",
    "Switchable",
    "Variable",
    "VariablePartition",
    "channel_axes",
    "gates",
    "origins",
    "own_parameters",
    "own_switch",
    "shared_parameters",
    "structure_reason",
    "switchable_operations",
    "zero_breaker",
]


def channel_axes(trace: TraceGraph) -> dict[str, int | None]:
    """Return the channel axis of every vertex and virtual input; `None` where it is unknown.

    Values of two, four and five dimensions without history have their channels second, as images do.
    """
    axes: dict[str, int | None] = {i.id: _by_rank(len(i.shape)) for i in trace.inputs}
    for vertex in trace:
        axes[vertex.id] = _axis(vertex, axes[vertex.inputs[0]], trace)
    return axes


def _by_rank(rank: int) -> int | None:
    return None if rank in (0, 1, 3) else 1


def _axis(vertex: Vertex, before: int | None, trace: TraceGraph) -> int | None:
    rank, rank_before = len(vertex.shape), len(trace.shapes[vertex.inputs[0]])
    if (axis := vertex.rule.channel_axis) is not None:
        return axis % rank if rank else None
    if before is None:
        return _by_rank(rank)
    move = None if vertex.is_joint else move_of(vertex, trace)
    if isinstance(move, Turned):
        return move.order.index(before)
    if isinstance(move, Dropped) and rank != rank_before:
        maps = move.maps(before, trace.shapes[vertex.inputs[0]])
        return None if isinstance(maps, str) else maps[0].axis
    if isinstance(move, Reshaped) and move.start is not None:
        return min(before, move.start)
    return before if rank == rank_before else _by_rank(rank)


@dataclass(frozen=True, slots=True)
class RemovalStructure:
    """A segment that may be erased as a whole, with the parameters that are zero when it is redundant."""

    id: int
    """The id of its segment."""
    name: str
    vertices: tuple[str, ...]
    parameter_names: tuple[str, ...]
    """Own parameters, whole tensors: saliency, K and sizes count these."""
    num_parameters: int
    macs: int
    zero_invariant: bool
    """Whether it emits zero once its parameters are zero."""
    reason: str | None
    """Why it cannot go after all, in words; `None` where it can."""
    entailed: tuple[Slice, ...] = ()
    """Rows of later norms and the like that must be zero with it; never scored."""
    switch: str | None = None
    """The parameter of its own that silences it alone; the others may then be what they are."""

    @property
    def is_removable(self) -> bool:
        """Whether it counts in the search space and towards K."""
        return self.reason is None


def shared_parameters(segments: SegmentGraph) -> dict[str, tuple[str, ...]]:
    """Return for each parameter and buffer that vertices of several segments read: those vertices."""
    trace = segments.trace
    return {
        name: vertices
        for name, vertices in (*trace.parameter_readers.items(), *trace.buffer_readers.items())
        if len({segments.of(v).id for v in vertices}) > 1
    }


def zero_breaker(vertices: Iterable[Vertex], shared: Iterable[str], *, from_zero: bool) -> Vertex | None:
    """The vertex because of which a segment does not end at zero, all its parameters at zero.

    `from_zero` says whether zeros go in (an orphaned segment) or anything may (an erased one). A parameter
    that is shared stays as it is, so only what keeps zero by itself counts as zero behind it.
    """
    fixed = set(shared)
    breakers: dict[str, Vertex | None] = {}  # by vertex of the segment: None where its value is zero
    last: Vertex | None = None
    for vertex in vertices:
        if vertex.attributes.get("undefined_at_zero"):
            return vertex
        is_closed = fixed.isdisjoint(vertex.parameters) and fixed.isdisjoint(vertex.silent_buffers)
        before = [breakers[s] for s in vertex.inputs if s in breakers]
        is_fed_zero = not any(before) and (from_zero or len(before) == len(vertex.inputs))
        is_fed_zero |= vertex.rule.is_product and None in before
        is_zero = (is_closed and vertex.annihilates) or (
            is_fed_zero and (vertex.keeps_zero or (is_closed and vertex.closes))
        )
        earlier = next((b for b in before if b), None)
        last = breakers[vertex.id] = None if is_zero else vertex if is_fed_zero else earlier or vertex
    return last


@dataclass(frozen=True)
class Discovery:
    """Why segments may not be erased, by their places in a segment graph.

    Where a segment is erased its value is zero, and so is that of every product with it and of what keeps
    zero behind that. Erasing is exact where this ends in joints that can lose the zero operand.
    """

    segments: SegmentGraph

    @cached_property
    def objections(self) -> dict[tuple[str, str], str]:
        """For each operand, by its source and its joint, why the joint cannot lose it exactly."""
        trace = self.segments.trace
        axes = channel_axes(trace)
        return {
            (source, vertex.id): why
            for vertex in trace
            if vertex.is_joint
            for source in vertex.inputs
            if (why := _objection(vertex, source, axes, trace))
        }

    @cached_property
    def shared(self) -> dict[str, tuple[str, ...]]:
        """The parameters that vertices of several segments read."""
        return shared_parameters(self.segments)

    @cached_property
    def sinks(self) -> frozenset[int]:
        """Segments that must stay reachable from an input (the validity check of ASGNAS, made exact).

        The required outputs; whatever feeds a joint that cannot lose an operand; and whatever would not fall
        silent with its input: orphaned, it would emit a constant where the sub-network has nothing.
        """
        return frozenset(s.id for s in self.segments if self._must_be_reached(s))

    def why_not(self, s: Segment) -> str | None:
        """Return why a segment is no removal structure by its place in the graph; `None` where it is one."""
        return self._reasons[s.id]

    @cached_property
    def _outputs(self) -> frozenset[str]:
        return frozenset(o.id for o in self.segments.trace.outputs if o.is_required)

    @cached_property
    def _silent(self) -> tuple[bool, ...]:
        """For each segment whether it is zero once all that it reads is zero, with its own parameters.

        A product goes only with a factor that is zero.
        """
        trace = self.segments.trace
        return tuple(
            s.id in self.segments.annihilators
            or zero_breaker((trace[v] for v in s.vertices), self.shared, from_zero=True) is None
            for s in self.segments
        )

    @cached_property
    def _places(self) -> dict[int, int]:
        order = self.segments.trace.places
        return {s.id: order[s.vertices[-1]] for s in self.segments}

    @cached_property
    def _reasons(self) -> dict[int, str | None]:
        """The reason of each segment; later segments first, because earlier ones may end in them."""
        found: dict[int, str | None] = {}
        hopeless: dict[int, str] = {}
        for s in sorted(self.segments, key=lambda s: self._places[s.id], reverse=True):
            found[s.id] = self._reason(s, found, hopeless)
        return found

    def _reason(self, s: Segment, later: Mapping[int, str | None], hopeless: dict[int, str]) -> str | None:
        if s.is_joint:
            return "it joins branches; it goes by itself once at most one of them is left"
        if self._outputs.intersection(s.outputs):
            return "its value leaves the network as an output"
        if not s.successors and not s.outputs:
            return "nothing reads its value"
        if not s.parameters:
            return "it has no trainable variables, so no zero can mark it; it goes when its surroundings go"
        followers = [self.segments[i] for i in s.successors]
        product = next((f for f in followers if s.id in self.segments.annihilators.get(f.id, ())), None)
        bound = next((f for f in followers if not f.is_joint), None)
        if product is None:
            needs = f"{bound.name} needs its value: it is the only path there" if bound else None
            return needs or self._reader_objection(s)
        why = self._spread_objection(s, later, hopeless)
        if why is None:
            return None
        if bound is not None:
            return f"{bound.name} needs its value: it is the only path there"
        name = self.segments.trace[product.vertices[0]].name
        return f"it feeds a product ({name}), where zero would silence the other operand too: {why}"

    def _reader_objection(self, s: Segment) -> str | None:
        """Return why one of the joints that read a segment cannot lose it; `None` where all can."""
        for reader in self.segments.trace.consumers[s.vertices[-1]]:
            if why := self.objections.get((s.vertices[-1], reader)):
                return why
        for joint in (self.segments[i] for i in s.successors if self.segments[i].is_joint):
            if len(joint.vertices) > 1:
                return f"{joint.name} is collapsed into one vertex and takes several values"
        return None

    def _spread_objection(
        self, s: Segment, later: Mapping[int, str | None], hopeless: dict[int, str]
    ) -> str | None:
        """Return why the zeros behind an erased segment do not end exactly; `None` where they do.

        Args:
            s: The segment.
            later: The reasons of all segments behind it.
            hopeless: Segments of which a zero reaches an output or another structure, with the reason.
        """
        zero: dict[int, None] = {}
        for here in self._spread([s.id]):
            zero[here] = None
            why = hopeless.get(here) if here != s.id else None
            if why is None and self._outputs.intersection(self.segments[here].outputs):
                why = "an output would be zero"
            if why is None and here != s.id and later[here] is None:
                part = self.segments[here]
                if structure_reason(self.segments, part, self.shared) is None:
                    why = f"{part.name}, a structure of its own, would go with it"
            if why is not None:
                hopeless[s.id] = why
                if len(s.successors) == 1 and here != s.id:
                    hopeless[s.successors[0]] = why  # spreads as far: walks through a chain stay short
                return why
        trace = self.segments.trace
        for here in zero:
            source = self.segments[here].vertices[-1]
            for reader in trace.consumers[source]:
                follower = self.segments.of(reader) if reader in trace else None
                if follower is None:
                    continue
                if (
                    follower.id in self.segments.annihilators
                    and source not in trace[reader].annihilating_inputs
                ):
                    is_divisor = trace[reader].operator == "div"
                    return (
                        f"{trace[reader].name} is divided by it"
                        if is_divisor
                        else self.objections.get((source, reader), f"{trace[reader].name} reads it")
                    )
                if follower.id in zero:
                    continue
                if why := self.objections.get((source, reader)):
                    return why
                if follower.is_joint and len(follower.vertices) > 1:
                    return f"{follower.name} is collapsed into one vertex and takes several values"
                if not follower.is_joint and not self._is_lost(follower, zero):
                    return f"{follower.name} is not zero at zero"
        return None

    def _spread(self, seeds: Iterable[int], until: float = inf) -> Iterator[int]:
        """Yield the segments that are zero where `seeds` are, in the order of the graph, up to a place."""
        seen = set(seeds)
        queue = [(self._places[i], i) for i in seen]
        zero: set[int] = set()
        while queue:
            place, here = heappop(queue)
            if place > until:
                return
            s = self.segments[here]
            killing = self.segments.annihilators.get(here, frozenset())
            is_orphaned = zero.issuperset(s.predecessors) and not s.starts and self._silent[here]
            if here not in seeds and not is_orphaned and zero.isdisjoint(killing):
                continue
            zero.add(here)
            yield here
            for follower in s.successors:
                if follower not in seen:
                    seen.add(follower)
                    heappush(queue, (self._places[follower], follower))

    def _is_lost(self, s: Segment, zero: Collection[int]) -> bool:
        """Return whether nothing reads a segment any more where all of `zero` is zero.

        What it makes of zero must be a number, and none by which a product of `zero` is divided: zero times
        infinity is not zero, nor is zero by zero.
        """
        number = self._number(s)
        if s.outputs or number is None or any(follower not in zero for follower in s.successors):
            return False
        source, trace = s.vertices[-1], self.segments.trace
        divided = (trace[v] for v in trace.consumers[source])
        return number != 0 or all(source in v.annihilating_inputs for v in divided)

    def _number(self, s: Segment) -> float | None:
        """Return what a segment makes of zero, its parameters at zero; `None` where that is not known."""
        number: float | None = 0.0
        for vertex in (self.segments.trace[v] for v in s.vertices):
            # Zero weights make no number of infinity; the vertices of a collapsed module are no chain.
            if number is None or vertex.is_joint or vertex.attributes.get("undefined_at_zero"):
                return None
            if vertex.annihilates or (number == 0 and (vertex.keeps_zero or vertex.closes)):
                number = 0.0
            else:
                number = number_after(vertex, number)
        return number

    def _must_be_reached(self, s: Segment) -> bool:
        if self._outputs.intersection(s.outputs):
            return True
        is_exact = self._silent[s.id] or not s.successors
        killed = {
            follower for follower in s.successors if s.id in self.segments.annihilators.get(follower, ())
        }
        source = s.vertices[-1]
        for reader in self.segments.trace.consumers[source]:
            follower = self.segments.of(reader) if reader in self.segments.trace else None
            if follower is None or follower.id in killed:
                continue
            is_exact &= (source, reader) not in self.objections
            is_exact &= not follower.is_joint or len(follower.vertices) == 1
        return not is_exact and not self._goes_unread(s)

    def _goes_unread(self, s: Segment) -> bool:
        """Return whether a segment with one input is read by nothing once that input is zero."""
        if s.is_joint or s.starts or len(s.predecessors) != 1 or not s.successors:
            return False
        before = self.segments[s.predecessors[0]]
        if not (before.starts or self._silent[before.id]):
            return False
        last = max(self._places[i] for i in s.successors)
        return self._is_lost(s, set(self._spread(s.predecessors, last)))


def _objection(vertex: Vertex, source: str, axes: dict[str, int | None], trace: TraceGraph) -> str | None:
    others = [other for other in vertex.inputs if other != source]
    is_mixed = any(trace[other].dtype != vertex.dtype for other in vertex.inputs if other in trace)
    if is_mixed and vertex.role in (Role.ADDITIVE, Role.CONCATENATING):
        return f"{vertex.name} joins numbers of different types"
    if vertex.role is Role.ADDITIVE:
        if others and all(trace.shapes[other] != vertex.shape for other in others):
            return f"the addition {vertex.name} broadcasts: without this operand its shape would be another"
        return None
    if vertex.role is Role.CONCATENATING:
        dim = vertex.attributes.get("dim")
        if not isinstance(dim, int) or any(axes[operand] != dim for operand in vertex.inputs):
            return f"{vertex.name} concatenates along axis {dim}, which does not hold channels"
        if sum(trace.shapes[operand][dim] for operand in vertex.inputs) != vertex.shape[dim]:
            return f"{vertex.name} concatenates constants too, whose places are not known"
        return None
    if source in vertex.annihilating_inputs:
        return None
    if vertex.rule.keeps_operands:
        return vertex.rule.keeps_operands.format(name=vertex.name)
    if vertex.role is Role.MULTIPLICATIVE:
        return f"it feeds a product ({vertex.name}), where zero would silence the other operand too"
    if vertex.role is Role.SELECTING:
        return (
            f"{vertex.name} ({vertex.operator}) picks among its operands or stacks them: zero is not neutral"
        )
    return f"{no_rule(vertex)}: it cannot lose an operand"


def structure_reason(segments: SegmentGraph, s: Segment, shared: dict[str, tuple[str, ...]]) -> str | None:
    """Return why a removal structure cannot be erased exactly after all; `None` where it can."""
    trace = segments.trace
    common = [name for name in s.parameters if name in shared]
    if common and zero_breaker((trace[v] for v in s.vertices), common, from_zero=False) is not None:
        others = [trace[v].name for v in shared[common[0]] if v not in s.vertices]
        return f"it shares the weights {common[0]} with {', '.join(others[:3])}"
    buffers = [name for v in s.vertices for name in trace[v].silent_buffers if name in shared]
    breaker = zero_breaker((trace[v] for v in s.vertices), buffers, from_zero=False)
    if breaker and breaker.attributes.get("undefined_at_zero"):
        return f"the weight of {breaker.name} is not defined where its variables are zero"
    if breaker and s.successors:  # what only optional outputs read may end in anything
        return (
            f"its value is not zero when its variables are: {breaker.name} ({breaker.operator})"
            f" is not zero at zero"
            + ("; nasviz.register_operator can tell otherwise" if is_foreign(breaker) else "")
        )
    return None


def own_parameters(s: Segment, shared: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The parameters of a segment that no other one reads."""
    return tuple(name for name in s.parameters if name not in shared)


def own_switch(segments: SegmentGraph, s: Segment, shared: Mapping[str, tuple[str, ...]]) -> str | None:
    """The parameter of a switch that makes a segment emit zero by itself, if there is one."""
    run = [segments.trace[v] for v in s.vertices]
    for vertex in run:
        name = vertex.parameters[0] if is_switch(vertex) else ""
        others = [other for other in s.parameters if other != name]
        if name and name not in shared and zero_breaker(run, others, from_zero=False) is None:
            return name
    return None


@dataclass(frozen=True, slots=True)
class Switchable:
    """One operation without variables that ends in joints which can lose it."""

    name: str
    source: str
    """The vertex whose value a switch would scale."""
    joints: tuple[str, ...]
    """The joints that read it."""
    vertices: tuple[str, ...]
    """What would go with it; empty for an identity edge."""


def switchable_operations(
    segments: SegmentGraph, objections: Collection[tuple[str, str]]
) -> tuple[Switchable, ...]:
    """Segments without variables, then identity edges, that end only in joints without objection."""
    trace = segments.trace
    operations, identities = [], []
    for s in segments:
        exit_id = s.vertices[-1]
        joints = tuple(
            reader
            for reader in trace.consumers[exit_id]
            if reader in trace
            and trace[reader].is_joint
            and trace[reader].role is not Role.MULTIPLICATIVE
            and (exit_id, reader) not in objections
        )
        is_only_read_by_joints = len(joints) == len(trace.consumers[exit_id])
        if not s.is_joint and not s.parameters and joints and is_only_read_by_joints:
            operations.append(Switchable(s.name, exit_id, joints, s.vertices))
        elif not is_only_read_by_joints or (s.is_joint and len(joints) > 1):
            identities += [
                Switchable(f"identity {trace[exit_id].name} → {trace[j].name}", exit_id, (j,), ())
                for j in joints
            ]
    return (*operations, *identities)


@dataclass(frozen=True, slots=True)
class Gate:
    """A segment that may be replaced by its value at zero."""

    id: int
    """The id of its segment."""
    name: str
    vertices: tuple[str, ...]
    parameter_names: tuple[str, ...]
    num_parameters: int
    product: str
    """The vertex that it scales."""
    value: float
    """What it is, everywhere, once its parameters are zero."""

    @property
    def offer(self) -> str:
        """What can be done with it, in words."""
        return f"as a gate it may be replaced by its value at zero, {self.value:g}"


def gates(segments: SegmentGraph) -> tuple[Gate, ...]:
    """All gates of a network, by segment id."""
    shared = shared_parameters(segments)
    found = []
    for s in segments:
        product = _product(segments, s)
        if product is None or shared.keys() & set(s.parameters):
            continue
        value = _value_at_zero(segments.trace[v] for v in s.vertices)
        if value is not None:
            found.append(Gate(s.id, s.name, s.vertices, s.parameters, s.num_parameters, product.id, value))
    return tuple(found)


def _product(segments: SegmentGraph, s: Segment) -> Vertex | None:
    """The product of two that a segment scales, if that is all it does and the other has its shape."""
    trace = segments.trace
    readers = trace.consumers[s.vertices[-1]]
    if s.is_joint or not s.parameters or len(readers) != 1 or readers[0] not in trace:
        return None
    product = trace[readers[0]]
    others = [source for source in product.inputs if source != s.vertices[-1]]
    if product.operator != "mul" or len(product.inputs) != 2 or len(others) != 1:
        return None
    return product if trace.shapes[others[0]] == product.shape else None


def _value_at_zero(vertices: Iterable[Vertex]) -> float | None:
    """The constant that a run emits with its parameters at zero: zero up to one operator, then its value."""
    run = list(vertices)
    for place, vertex in enumerate(run):
        if place > 0 and (value := value_at_zero(vertex)) is not None:
            is_fed_zero = zero_breaker(run[:place], (), from_zero=False) is None
            return value if is_fed_zero and place == len(run) - 1 else None
    return None


@dataclass(frozen=True, slots=True)
class Origin:
    """Entries of a parameter that read the values of one operand of a concatenation."""

    source: str
    """Operand: a vertex, or an input of the network."""
    segment: int | None
    """Segment of the operand; None for an input of the network."""
    dim: int
    """Dimension of the parameter: 1 for the columns of a weight."""
    rows: tuple[int, ...]
    """Indices along this dimension."""


@dataclass(frozen=True, slots=True)
class Variable:
    """One parameter with its part."""

    name: str
    shape: tuple[int, ...]
    readers: tuple[str, ...]
    """Vertices that read it; empty if none does."""
    structure: int | None
    """Removal structure whose group holds it; None in the complement of G_s."""
    origins: tuple[Origin, ...] = ()
    """Where the channels that its entries read come from; empty without a concatenation before it."""

    @property
    def size(self) -> int:
        """Number of its entries."""
        return prod(self.shape)

    def to_json(self) -> dict[str, Any]:
        """Return plain data; indices as pairs of first and last."""
        document: dict[str, Any] = {"name": self.name, "shape": list(self.shape)}
        if self.origins:
            document["origins"] = [
                {"source": o.source, "segment": o.segment, "dim": o.dim, "rows": _runs(o.rows)}
                for o in self.origins
            ]
        return document


@dataclass(frozen=True)
class VariablePartition:
    """All parameters of a network, divided into the groups of G_s and the complement.

    Examples:
        >>> kept, gone = Variable("a", (4, 2), ("a",), None), Variable("b", (4,), ("b",), 3)
        >>> partition = VariablePartition((kept, gone))
        >>> partition.groups, partition.num_complement
        ({3: (Variable(name='b', shape=(4,), readers=('b',), structure=3, origins=()),)}, 8)
    """

    variables: tuple[Variable, ...] = field(repr=False)

    @cached_property
    def groups(self) -> Mapping[int, tuple[Variable, ...]]:
        """G_s: variables of each removable structure, by its id."""
        ids = sorted({v.structure for v in self.variables if v.structure is not None})
        return {i: tuple(v for v in self.variables if v.structure == i) for i in ids}

    @cached_property
    def complement(self) -> tuple[Variable, ...]:
        """Variables outside G_s."""
        return tuple(v for v in self.variables if v.structure is None)

    @property
    def num_complement(self) -> int:
        """Number of entries of the complement."""
        return sum(v.size for v in self.complement)

    def to_json(self) -> dict[str, Any]:
        """Return plain data for `json.dumps`."""
        groups = {str(i): [v.to_json() for v in group] for i, group in self.groups.items()}
        return {"groups": groups, "complement": [v.to_json() for v in self.complement]}


def origins(segments: SegmentGraph) -> dict[str, tuple[Origin, ...]]:
    """Return, for each parameter behind a concatenation, where the channels of its entries come from.

    Each operand is followed forward by the rules that construction follows missing channels with, through
    norms and reshapes, up to the operators that mix channels. An addition with another value ends it.
    """
    trace = segments.trace
    marks: dict[str, dict[str, Zeros]] = {}
    found: dict[str, list[Origin]] = {}
    for vertex in trace:
        after: dict[str, Zeros] = {}
        if vertex.is_joint:
            after = dict(_concatenated(vertex, trace, marks))
        elif before := marks.get(vertex.inputs[0]):
            for source, entries in before.items():
                passage = pass_through(vertex, entries, trace)
                if passage is None:
                    continue
                home = segments.of(source).id if source in trace else None
                for cut in passage.slices:
                    found.setdefault(cut.tensor, []).append(Origin(source, home, cut.dim, cut.rows))
                if passage.zeros is not None:
                    after[source] = passage.zeros
        if after:
            marks[vertex.id] = after
    return {name: tuple(parts) for name, parts in found.items()}


def _concatenated(
    joint: Vertex, trace: TraceGraph, marks: Mapping[str, Mapping[str, Zeros]]
) -> Iterator[tuple[str, Zeros]]:
    """Yield the entries of a concatenation that come from each operand, or from operands of that."""
    dim = joint.attributes.get("dim")
    sizes = [trace.shapes[source][dim] for source in joint.inputs] if isinstance(dim, int) else []
    if joint.role is not Role.CONCATENATING or not isinstance(dim, int) or sum(sizes) != joint.shape[dim]:
        return
    rows: dict[str, list[int]] = {}
    start = 0
    for operand, size in zip(joint.inputs, sizes, strict=True):
        inner = {s: z for s, z in marks.get(operand, {}).items() if z.axis == dim}
        marked = {row: source for source, z in inner.items() for row in z.rows}
        for row in range(size):
            rows.setdefault(marked.get(row, operand), []).append(start + row)
        start += size
    for source, own in rows.items():
        yield source, Zeros(dim, tuple(own), start)


def _runs(rows: tuple[int, ...]) -> list[list[int]]:
    """Return ascending indices as pairs of first and last."""
    runs: list[list[int]] = []
    for row in rows:
        if runs and row == runs[-1][1] + 1:
            runs[-1][1] = row
        else:
            runs.append([row, row])
    return runs
