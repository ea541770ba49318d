"""Channels followed through a trace graph: who makes, keeps and reads them (OTOv2, section 3.1).

Every filter of a convolution or linear map is labelled, and the labels are followed to whatever mixes them
again. On the way each tensor that has a row for a channel is noted. The rules mirror those by which
construction follows zeros (`channels`, `moves`, `products`); where one of those has no answer, the labels end
with the reason.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from nasviz.graph.operator_table import Channels, Role
from nasviz.graph.operators.channel_rules import constant_at_zero, keeps_axis
from nasviz.graph.operators.label_axis_rules import MOVES, MOVES_BY_OPERATOR, part
from nasviz.graph.operators.labels import Labelled, Labels
from nasviz.graph.operators.linear_rules import takes_constants
from nasviz.graph.operators.merge_labels import meet
from nasviz.graph.structures.channel_axes import channel_axes
from nasviz.graph.structures.discovery import frozen_norm
from nasviz.graph.trace_graph import TraceGraph, Vertex

__all__ = ["ChannelFlow", "Touch"]

Part = Literal["stem", "accessory", "reader"]
_NORMS = {"layer_norm": "LayerNorm", "rms_norm": "RMSNorm", "group_norm": "GroupNorm"}
_WORSE = 1
"""Weight of the reasons that explain most: they are told before others."""


@dataclass(frozen=True, slots=True)
class Touch:
    """One dimension of a tensor, with the label of each of its rows."""

    vertex: str
    tensor: str
    dim: int
    labels: tuple[int, ...]
    part: Part
    """`stem`: makes the channels; `accessory`: has a row for each; `reader`: reads them as columns."""
    is_zeroed: bool
    """Whether its rows are zero when a group is; what is not zeroed is only cut."""


class ChannelFlow:
    """The labels of all values of a trace graph.

    Args:
        trace: The graph.
        protected: Vertices whose channels must stay.
    """

    def __init__(self, trace: TraceGraph, protected: Collection[str] = ()) -> None:
        self.trace = trace
        self.labels = Labels()
        self.touches: list[Touch] = []
        self.values: dict[str, Labelled | None] = {}
        """By vertex and virtual input; `None` where nothing can be cut and nothing was."""
        self._axes = channel_axes(trace)
        for given in trace.inputs:
            axis = self._axes[given.id]
            self.values[given.id] = self._blocked(axis, given.shape, "the network's own inputs have them")
        for vertex in trace:
            self.values[vertex.id] = self._visit(vertex)
            if vertex.id in protected:
                self._end(vertex.id, "you protected it", weight=_WORSE + 1)
        for output in trace.outputs:
            self._end(output.source, "they leave the network as an output", weight=_WORSE)

    def reason(self, vertex_id: str) -> str | None:
        """Why some of a vertex's channels cannot go; `None` where all can, or where it has none."""
        value = self.values[vertex_id]
        reasons = (self.labels.reason(label) for label in dict.fromkeys(value.labels)) if value else ()
        return next((reason for reason in reasons if reason), None)

    def _visit(self, vertex: Vertex) -> Labelled | None:
        found = self._joint(vertex) if vertex.is_joint else self._single(vertex)
        if not isinstance(found, str):
            return found
        weight = _WORSE if vertex.operator in _NORMS else 0
        for source in vertex.inputs:
            self._end(source, found, weight=weight)
        return self._blocked(self._axis_after(vertex), vertex.shape, found, weight=weight)

    def _axis_after(self, vertex: Vertex) -> int | None:
        """Where a vertex that labels do not pass has its channels: mostly where its operand has them."""
        for source in vertex.inputs:
            value, shape = self.values[source], self.trace.shapes[source]
            if value is not None and keeps_axis(vertex, value.axis, shape):
                return value.axis
        return self._axes[vertex.id]

    def _joint(self, vertex: Vertex) -> Labelled | str | None:
        operands = [self.values[source] for source in vertex.inputs]
        shapes = [self.trace.shapes[source] for source in vertex.inputs]
        return meet(vertex, operands, shapes, self.labels)

    def _single(self, vertex: Vertex) -> Labelled | str | None:
        source = vertex.inputs[0]
        value, shape = self.values[source], self.trace.shapes[source]
        if vertex.parameters and (why := self._not_owned(vertex)):
            return why
        if vertex.role is Role.STEM and vertex.rule.channels is not Channels.MATERIALISE:
            return self._stem(vertex, value, shape)
        if value is None:
            return None
        if vertex.rule.channels is Channels.ROWS:
            return self._rows(vertex, value)
        if vertex.operator == "getitem":
            return part(vertex, value, self.trace[source] if source in self.trace else None)  # noqa: SIM401
        if move := MOVES_BY_OPERATOR.get(vertex.operator) or MOVES.get(vertex.rule.channels):
            return move(vertex, value, shape, self.labels)
        return self._elementwise(vertex, value, shape)

    def _not_owned(self, vertex: Vertex) -> str | None:
        if vertex.attributes.get("computed_weight"):
            return f"the weight of {vertex.name} is computed from its variables, not one of them"
        for name in vertex.parameters:
            readers = self.trace.parameter_readers[name]
            if len(readers) > 1:
                others = ", ".join(self.trace[v].name for v in readers if v != vertex.id)
                return f"{vertex.name} shares the weights {name} with {others or 'itself'}"
        return None

    def _stem(self, vertex: Vertex, value: Labelled | None, shape: tuple[int, ...]) -> Labelled | str:
        """A convolution or linear map: columns for what goes in, rows for what comes out."""
        is_convolution = vertex.rule.channels is Channels.CONVOLUTION
        axis = 1 if is_convolution else len(vertex.shape) - 1
        groups, is_transposed = vertex.attributes.get("groups", 1), bool(vertex.attributes.get("transposed"))
        if value is not None and value.axis != (1 if is_convolution else len(shape) - 1):
            return f"{vertex.name} mixes them along another axis"
        if not vertex.parameters or not isinstance(groups, int) or (is_convolution and not vertex.module):
            return f"the weight of {vertex.name} is not a variable"
        weight, *biases = vertex.parameters
        if value is not None and not value.is_zero and not takes_constants(vertex):
            return self._not_zero(vertex)
        # A linear map written with its inputs first is like a transposed convolution.
        ins, outs = (0, 1) if is_transposed else (1, 0)
        if groups > 1:
            if is_transposed:
                return f"{vertex.name} is transposed and in groups: there is no rule for cutting it"
            made = self._in_groups(vertex, value, groups)
            self._touch(vertex, weight, 0, made, "accessory")
        else:
            if value is not None:
                self._touch(vertex, weight, ins, value.labels, "reader")
            made = self.labels.new(vertex.shape[axis])
            self._touch(vertex, weight, outs, made, "stem")
        for bias in biases:
            self._touch(vertex, bias, 0, made, "stem" if groups == 1 else "accessory")
        return Labelled(axis, made)

    def _in_groups(self, vertex: Vertex, value: Labelled | None, groups: int) -> tuple[int, ...]:
        """A group's inputs and filters go together; a depthwise convolution has one channel a group."""
        given = value.labels if value else self.labels.fixed(groups, "what goes in cannot be cut")
        width, filters = len(given) // groups, vertex.shape[1] // groups
        for start in range(0, len(given), width):
            self.labels.join_all(given[start : start + 1] * width, given[start : start + width])
        return tuple(label for label in given[::width] for _ in range(filters))

    def _rows(self, vertex: Vertex, value: Labelled) -> Labelled | str:
        """A BatchNorm, or the slopes of a PReLU."""
        if value.axis != 1 or not vertex.module:
            return f"{vertex.name} acts along another axis"
        if vertex.operator == "prelu":
            if vertex.attributes.get("num_parameters") != 1:
                for name in vertex.parameters:
                    self._touch(vertex, name, 0, value.labels, "accessory", is_zeroed=False)
            return value if value.is_zero else self._not_zero(vertex)
        if not vertex.annihilates:
            return f"{vertex.name} has no weights of its own that could make them zero again"
        for name in vertex.parameters:
            self._touch(vertex, name, 0, value.labels, "accessory")
        for name in vertex.buffers:
            if name.endswith(("running_mean", "running_var")):
                self._touch(vertex, name, 0, value.labels, "accessory", is_zeroed=False)
        return Labelled(1, value.labels)

    def _elementwise(self, vertex: Vertex, value: Labelled, shape: tuple[int, ...]) -> Labelled | str:
        if vertex.operator in _NORMS:
            kind = _NORMS[vertex.operator]
            return f"{vertex.name} ({kind}) normalises over its channels: without some the others change"
        by_number = vertex.operator in ("mul", "div") and not vertex.parameters and not vertex.buffers
        if vertex.rule.channels is not Channels.PASS and not by_number:
            if value.is_zero and constant_at_zero(vertex) and keeps_axis(vertex, value.axis, shape):
                return Labelled(value.axis, value.labels, is_zero=False)
            return f"there is no rule for {vertex.operator} ({vertex.name})"
        if not keeps_axis(vertex, value.axis, shape):
            return f"{vertex.name} ({vertex.operator}) changes their axis"
        if not (vertex.keeps_zero and value.is_zero):
            return self._not_zero(vertex)
        return value

    def _not_zero(self, vertex: Vertex) -> str:
        norm = frozen_norm(self.trace, vertex)
        return norm or f"they are not zero any more where {vertex.name} ({vertex.operator}) reads them"

    def _touch(
        self,
        vertex: Vertex,
        tensor: str,
        dim: int,
        labels: tuple[int, ...],
        part: Part,
        *,
        is_zeroed: bool = True,
    ) -> None:
        self.touches.append(Touch(vertex.id, tensor, dim, labels, part, is_zeroed and part != "reader"))

    def _end(self, vertex_id: str, reason: str, *, weight: int = 0) -> None:
        value = self.values[vertex_id]
        if value is not None:
            self.labels.fix(value.labels, reason, weight=weight)

    def _blocked(
        self, axis: int | None, shape: tuple[int, ...], reason: str, *, weight: int = 0
    ) -> Labelled | None:
        """A value whose channels all stay, labelled so that what it meets knows why."""
        if axis is None or not 0 <= axis < len(shape) or shape[axis] < 1:
            return None
        return Labelled(axis, self.labels.fixed(shape[axis], reason, weight=weight))
