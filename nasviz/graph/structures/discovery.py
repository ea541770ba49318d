"""Removal structures: the segments that may be erased, and the reasons of those that may not.

ASGNAS (section 3.1, "Discovery of removal structures"): a segment is a removal structure when it owns
trainable variables and all its successors are joints. Two conditions are added so that erasing equals
projecting to zero exactly: each of those joints must accept the loss of an operand (an addition of equal
shapes, or a concatenation of channels), and the segment must emit zero once its variables are zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from nasviz.graph.operators.binding import is_foreign, no_rule
from nasviz.graph.operators.rules import Role
from nasviz.graph.segments.segment_graph import Segment, SegmentGraph
from nasviz.graph.structures.channel_axes import channel_axes
from nasviz.graph.structures.switches import is_switch
from nasviz.graph.trace_graph import Slice, TraceGraph, Vertex

__all__ = [
    "RemovalStructure",
    "frozen_norm",
    "joint_objections",
    "own_parameters",
    "own_switch",
    "required_sinks",
    "shared_parameters",
    "why_not",
]


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
    """For each parameter that vertices of several segments read: those vertices."""
    return {
        name: vertices
        for name, vertices in segments.trace.parameter_readers.items()
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
        is_closed = not fixed.intersection(vertex.parameters)
        before = [breakers[s] for s in vertex.inputs if s in breakers]
        is_fed_zero = not any(before) and (from_zero or len(before) == len(vertex.inputs))
        is_fed_zero |= vertex.rule.is_product and None in before
        is_zero = (is_closed and vertex.annihilates) or (
            is_fed_zero and (vertex.keeps_zero or (is_closed and vertex.closes))
        )
        earlier = next((b for b in before if b), None)
        last = breakers[vertex.id] = None if is_zero else vertex if is_fed_zero else earlier or vertex
    return last


def joint_objections(trace: TraceGraph) -> dict[str, str]:
    """For each joint vertex that cannot lose an operand exactly: why."""
    axes = channel_axes(trace)
    objections = {}
    for vertex in trace:
        if vertex.is_joint and (why := _objection(vertex, axes, trace)):
            objections[vertex.id] = why
    return objections


def _objection(vertex: Vertex, axes: dict[str, int | None], trace: TraceGraph) -> str | None:
    shapes = [trace.shapes[source] for source in vertex.inputs]
    is_mixed = any(trace[source].dtype != vertex.dtype for source in vertex.inputs if source in trace)
    if is_mixed and vertex.role in (Role.ADDITIVE, Role.CONCATENATING):
        return f"{vertex.name} joins numbers of different types"
    if vertex.role is Role.ADDITIVE:
        if any(shape != vertex.shape for shape in shapes):
            return f"the addition {vertex.name} broadcasts: its operands differ in shape"
        return None
    if vertex.role is Role.CONCATENATING:
        dim = vertex.attributes.get("dim")
        if not isinstance(dim, int) or any(axes[source] != dim for source in vertex.inputs):
            return f"{vertex.name} concatenates along axis {dim}, which does not hold channels"
        if sum(shape[dim] for shape in shapes) != vertex.shape[dim]:
            return f"{vertex.name} concatenates constants too, whose places are not known"
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


def required_sinks(segments: SegmentGraph, objections: dict[str, str]) -> frozenset[int]:
    """Segments that must stay reachable from an input (the validity check of ASGNAS, made exact).

    The required outputs; whatever feeds a joint that cannot lose an operand; and whatever would not fall
    silent with its input: orphaned, it would emit a constant where the sub-network has nothing.
    """
    trace = segments.trace
    required = {o.id for o in trace.outputs if o.is_required}
    shared = set(shared_parameters(segments))
    sinks = set()
    for s in segments:
        if (
            required.intersection(s.outputs)
            or _reader_objection(segments, s, objections)
            or (s.successors and zero_breaker((trace[v] for v in s.vertices), shared, from_zero=True))
        ):
            sinks.add(s.id)
    return frozenset(sinks)


def why_not(segments: SegmentGraph, s: Segment, objections: dict[str, str]) -> str | None:
    """Why a segment is no removal structure by its place in the graph, in words; `None` where it is."""
    if s.is_joint:
        return "it joins branches; it goes by itself once at most one of them is left"
    if any(o.is_required and o.id in s.outputs for o in segments.trace.outputs):
        return "its value leaves the network as an output"
    if not s.successors and not s.outputs:
        return "nothing reads its value"
    if not s.parameters:
        return "it has no trainable variables, so no zero can mark it; it goes when its surroundings go"
    for successor in s.successors:
        if not segments[successor].is_joint:
            return f"{segments[successor].name} needs its value: it is the only path there"
    return _reader_objection(segments, s, objections)


def _reader_objection(segments: SegmentGraph, s: Segment, objections: dict[str, str]) -> str | None:
    """Why one of the joints behind a segment cannot lose it; `None` where all can."""
    for reader in segments.trace.consumers[s.vertices[-1]]:
        if reader in objections:
            return objections[reader]
    for joint in (segments[i] for i in s.successors if segments[i].is_joint):
        if len(joint.vertices) > 1:
            return f"{joint.name} is collapsed into one vertex and takes several values"
    return None


def structure_reason(segments: SegmentGraph, s: Segment, shared: dict[str, tuple[str, ...]]) -> str | None:
    """Why a removal structure cannot be erased exactly after all; `None` where it can."""
    trace = segments.trace
    common = [name for name in s.parameters if name in shared]
    is_silent = common and zero_breaker((trace[v] for v in s.vertices), common, from_zero=False) is None
    has_switch = any(is_switch(trace[v]) for v in s.vertices)
    if common and not (has_switch and is_silent):
        others = [trace[v].name for v in shared[common[0]] if v not in s.vertices]
        return f"it shares the weights {common[0]} with {', '.join(others[:3])}"
    breaker = zero_breaker((trace[v] for v in s.vertices), (), from_zero=False)
    if breaker and breaker.attributes.get("undefined_at_zero"):
        return f"the weight of {breaker.name} is not defined where its variables are zero"
    if breaker and s.successors and (norm := frozen_norm(trace, breaker)):
        return norm
    if breaker and s.successors:  # what only optional outputs read may end in anything
        return (
            f"its value is not zero when its variables are: {breaker.name} ({breaker.operator})"
            f" is not zero at zero"
            + ("; nasviz.register_operator can tell otherwise" if is_foreign(breaker) else "")
        )
    return None


def frozen_norm(trace: TraceGraph, vertex: Vertex) -> str | None:
    """Return why a segment with a norm of buffers stays (`FrozenBatchNorm2d`); `None` without one."""
    for path in (vertex.module, *reversed(vertex.scope)):
        kind = trace.modules.get(path, "") if path else ""
        if kind.startswith("FrozenBatchNorm"):
            return (
                f"{path} ({kind}) has its scale and shift in buffers, which are frozen; with"
                f" torch.nn.{kind.removeprefix('Frozen')} in its place it could go"
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
