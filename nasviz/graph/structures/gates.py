"""Gates: branches that scale another value, and what they are at zero (no document treats them).

A squeeze-and-excite branch ends in a sigmoid and meets its value in a product. With its variables at zero it
is a constant, a half behind a sigmoid, so it may be replaced by that number exactly. This is a kind of its
own: it is offered, never chosen silently, and does not count towards K.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from nasviz.graph.operators.binding import value_at_zero
from nasviz.graph.segments.segment_graph import Segment, SegmentGraph
from nasviz.graph.structures.discovery import shared_parameters, zero_breaker
from nasviz.graph.trace_graph import Vertex

__all__ = ["Gate", "gates"]


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
