"""Channels followed through a trace graph: who makes, keeps and reads them (OTOv2, section 3.1).

Every filter of a convolution or linear map gets a label, and the labels are followed to whatever mixes them
again. Where channels meet index by index, in an addition for example, their labels become one; a label that
must not be cut carries the reason. On the way each tensor that has a row for a channel is noted. The
operators' rules are those by which construction follows zeros; where one of them has no answer, the labels
end with the reason.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from nasviz.graph.operators.computed import Source, is_undefined_at_zero
from nasviz.graph.operators.moves import Dropped
from nasviz.graph.operators.rules import AxisMap, Role
from nasviz.graph.operators.values import same
from nasviz.graph.operators.zeros import (
    Bound,
    bind,
    keeps_axis,
    maps_of,
    move_of,
    no_rule,
    number_after,
    others_reading,
    owner_objection,
    tensors_of,
    value_at_zero,
)
from nasviz.graph.structures import channel_axes
from nasviz.graph.trace_graph import TraceGraph, Vertex

__all__ = ["ChannelFlow", "Labelled", "Labels", "Touch"]


@dataclass(frozen=True, slots=True)
class Labelled:
    """A value of which one axis carries labels."""

    axis: int
    labels: tuple[int, ...]
    """One for each index along the axis; repeats go together."""
    is_zero: bool = True
    """Whether the value is exactly zero at an index whose group is; else it is some constant there."""
    is_free: bool = False
    """Whether it is anything at such an index: only a product with zero can take it."""

    @property
    def size(self) -> int:
        """Length of the axis."""
        return len(self.labels)

    @property
    def is_constant(self) -> bool:
        """Return whether it is a number that is not zero at such an index."""
        return not (self.is_zero or self.is_free)

    @property
    def freed(self) -> Labelled:
        """Return the same labels of a value that may be anything."""
        return replace(self, is_zero=False, is_free=True)


class Labels:
    """A disjoint-set forest of labels.

    Examples:
        >>> labels = Labels()
        >>> a, b = labels.new(2), labels.new(2)
        >>> labels.join_all(a, b)
        >>> labels.fix(b[:1], "it leaves the network")
        >>> labels.find(a[1]) == labels.find(b[1]), labels.reason(a[0]), labels.reason(a[1])
        (True, 'it leaves the network', None)
    """

    def __init__(self) -> None:
        self._parent: list[int] = []
        self._reasons: dict[int, tuple[int, str]] = {}

    def new(self, count: int) -> tuple[int, ...]:
        """So many labels, each alone."""
        first = len(self._parent)
        self._parent.extend(range(first, first + count))
        return tuple(range(first, first + count))

    def fixed(self, count: int, reason: str, *, weight: int = 0) -> tuple[int, ...]:
        """So many labels that must not be cut."""
        labels = self.new(count)
        self.fix(labels, reason, weight=weight)
        return labels

    def find(self, label: int) -> int:
        """The label that stands for all that are one with this."""
        parent = self._parent
        while parent[label] != label:
            parent[label] = label = parent[parent[label]]
        return label

    def roots(self) -> list[int]:
        """Return for each label the one that stands for it."""
        return [self.find(label) for label in range(len(self._parent))]

    def join(self, first: int, second: int) -> None:
        """Make two labels one."""
        first, second = sorted((self.find(first), self.find(second)))
        if first == second:
            return
        self._parent[second] = first
        if second in self._reasons:
            self._give(first, self._reasons.pop(second))

    def join_all(self, first: Iterable[int], second: Iterable[int]) -> None:
        """Make labels one, pair by pair."""
        for one, other in zip(first, second, strict=True):
            if one != other:
                self.join(one, other)

    def fix(self, labels: Iterable[int], reason: str, *, weight: int = 0) -> None:
        """Forbid to cut these; of several reasons the one of the largest weight is told, then the first."""
        for label in set(labels):
            self._give(self.find(label), (weight, reason))

    def reason(self, label: int) -> str | None:
        """Return why a label must not be cut; `None` where it may."""
        found = self._reasons.get(self.find(label))
        return found[1] if found else None

    def _give(self, root: int, reason: tuple[int, str]) -> None:
        if root not in self._reasons or reason[0] > self._reasons[root][0]:
            self._reasons[root] = reason


Part = Literal["stem", "accessory", "reader"]
_EXPLAINS_MOST = 1
"""Weight of the reasons that are given before others."""


@dataclass(frozen=True, slots=True)
class Touch:
    """One dimension of a tensor, with the label of each of its rows."""

    vertex: str
    argument: str
    tensor: str
    dim: int
    labels: tuple[int, ...]
    part: Part
    """`stem`: makes the channels; `accessory`: has a row for each; `reader`: reads them as columns."""
    is_zeroed: bool
    """Whether its rows are zero when a group is; what is not zeroed is only cut."""
    is_needed: bool = False
    """Whether its rows must be zero for the vertex to keep a channel at zero."""


class ChannelFlow:
    """The labels of all values of a trace graph.

    Args:
        trace: The graph.
        protected: Vertices whose channels must stay.
        heads: By vertex, the axes that hold heads of attention; whole heads go there, where they can.
        convolved: By vertex, the axes that a convolution reads as channels.
    """

    def __init__(
        self,
        trace: TraceGraph,
        protected: Collection[str] = (),
        heads: Mapping[str, frozenset[int]] = MappingProxyType({}),
        convolved: Mapping[str, frozenset[int]] = MappingProxyType({}),
    ) -> None:
        self.trace = trace
        self.heads, self.convolved = heads, convolved
        self.split: dict[str, tuple[int, ...]] = {}
        """For each vertex behind which channels are those of heads: their labels."""
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
                self._end(vertex.id, "you protected it", weight=_EXPLAINS_MOST + 1)
        for output in trace.outputs:
            self._end(output.source, "they leave the network as an output", weight=_EXPLAINS_MOST)
        self._unite()
        self._keep_what_is_not_zeroed()

    def reason(self, vertex_id: str) -> str | None:
        """Return why some channels of a vertex cannot go; `None` if all can, or if it has none."""
        value = self.values[vertex_id]
        reasons = (self.labels.reason(label) for label in dict.fromkeys(value.labels)) if value else ()
        return next((reason for reason in reasons if reason), None)

    def _visit(self, vertex: Vertex) -> Labelled | None:
        found = self._joint(vertex) if vertex.is_joint else self._single(vertex)
        if not isinstance(found, str):
            return found
        weight = _EXPLAINS_MOST if vertex.role is Role.NORM else 0
        for source in vertex.inputs:
            self._end(source, found, weight=weight)
        return self._blocked(self._axis_after(vertex), vertex.shape, found, weight=weight)

    def _axis_after(self, vertex: Vertex) -> int | None:
        """Return where a vertex that labels do not pass has its channels: mostly as its operand."""
        for source in vertex.inputs:
            value, shape = self.values[source], self.trace.shapes[source]
            if value is not None and keeps_axis(vertex, value.axis, shape):
                return value.axis
        return self._axes[vertex.id]

    def _single(self, vertex: Vertex) -> Labelled | str | None:
        value, shape = self.values[vertex.inputs[0]], self.trace.shapes[vertex.inputs[0]]
        rule = vertex.rule
        if rule.axes is not None and (vertex.role is Role.STEM or self._makes(vertex, value)):
            return self._stem(vertex, value)
        if value is None:
            return None
        if rule.keeps_channels and rule.axes is None:
            return rule.keeps_channels.format(name=vertex.name)
        if (move := move_of(vertex, self.trace)) is not None:
            if isinstance(move, Dropped) and move.index is not None and value.axis in move.axes:
                self.labels.fix([value.labels[move.index]], move.why)
                return None
            maps = move if isinstance(move, str) else maps_of(move, value.axis, shape, value.size)
            if isinstance(maps, str):
                return maps or no_rule(vertex)
            return self._mapped(vertex, value, shape, maps)
        if rule.axes is not None and (not rule.acts_on or vertex.parameters or vertex.buffers):
            return self._through_tensors(vertex, value)
        return self._elementwise(vertex, value, shape)

    def _makes(self, vertex: Vertex, value: Labelled | None) -> bool:
        """Return whether a product with a variable mixes labels into an axis that its operand lacks."""
        is_product = vertex.rule.role is Role.MULTIPLICATIVE and not vertex.rule.acts_on
        bound = bind(vertex, self.trace) if is_product and tensors_of(vertex) else None
        if not isinstance(bound, Bound) or bound.made is None:
            return False
        return value is None or bound.names.operands[0][value.axis] not in bound.names.result

    def _mapped(
        self, vertex: Vertex, value: Labelled, shape: tuple[int, ...], maps: Sequence[AxisMap]
    ) -> Labelled | str:
        """Join what a move makes inseparable."""
        if not (value.is_zero or vertex.rule.value is same):
            return no_rule(vertex)
        if value.is_zero and number_after(vertex, 0.0, shape) != 0:
            return self._not_zero(vertex)
        # Of several axes one of heads, one that a convolution reads, or the last one that can lose an index:
        # attention sums over the dimensions of a head.
        classes = {m.axis: self._num_classes(m, value.labels) if len(maps) > 1 else 1 for m in maps}
        heads = [m for m in maps if m.axis in self.heads.get(vertex.id, ()) and classes[m.axis] > 1]
        read = [m for m in maps if m.axis in self.convolved.get(vertex.id, ()) and classes[m.axis] > 1]
        found = max(heads or read or maps, key=lambda m: (classes[m.axis] > 1, m.axis))
        if found.sources is None:
            return replace(value, axis=found.axis)
        for sources in found.sources:
            first = value.labels[sources[0]]
            self.labels.join_all([first] * (len(sources) - 1), [value.labels[i] for i in sources[1:]])
        labels = tuple(value.labels[sources[0]] for sources in found.sources)
        if heads:
            self.split[vertex.id] = labels
        return replace(value, axis=found.axis, labels=labels)

    def _num_classes(self, found: AxisMap, labels: tuple[int, ...]) -> int:
        """Return into how many sets the indices along an axis fall that can be cut apart."""
        if found.sources is None:
            return len({self.labels.find(label) for label in labels})
        roots = {label: number for number, label in enumerate(dict.fromkeys(map(self.labels.find, labels)))}
        lines = [[roots[self.labels.find(labels[i])] for i in sources] for sources in found.sources]
        forest = Labels()
        own = forest.new(len(roots))
        for line in lines:
            forest.join_all([own[line[0]]] * (len(line) - 1), [own[i] for i in line[1:]])
        return len({forest.find(own[line[0]]) for line in lines})

    def _stem(self, vertex: Vertex, value: Labelled | None) -> Labelled | str | None:
        """Label columns of weights for what goes in, and rows for what comes out."""
        if why := owner_objection(vertex, self.trace):
            return why
        bound = bind(vertex, self.trace)
        if isinstance(bound, str):
            return bound
        if vertex.role is Role.STEM and vertex.rule.weight not in bound.tensors:
            return f"the weight of {vertex.name} is not a variable"
        names = bound.names
        if names.ties:
            if value is None:
                (tie,) = names.ties
                axis = names.operands[0].index(tie)
                size = self.trace.shapes[vertex.inputs[0]][axis]
                value = Labelled(axis, self.labels.fixed(size, "what goes in cannot be cut"))
            return self._through_tensors(vertex, value)
        if value is not None:
            name = names.operands[0][value.axis]
            if not name or name in names.result:
                self._end(vertex.inputs[0], f"{vertex.name} mixes them along another axis")
                name = ""
            if name and (why := self._read(bound, value, name)):
                return why
        made = bound.made
        if made is None:
            return no_rule(vertex)
        axis = names.result.index(made)
        labels = self.labels.new(vertex.shape[axis])
        held = bound.entries(made, len(labels))
        if isinstance(held, str):
            return held
        silencing = bound.silencing(made, len(labels), is_fed_zero=False, is_made=True)
        if not silencing or not silencing <= {source.tensor for _, source in held}:
            return f"what {vertex.name} makes is not zero where its variables are"
        self._touch(bound, held, labels, "stem")
        return Labelled(axis, labels)

    def _read(self, bound: Bound, value: Labelled, name: str) -> str | None:
        """Note the columns of weights that are summed over with labels, or why they cannot be cut."""
        vertex, folds = bound.vertex, bound.vertex.rule.folds
        is_shared = any(others_reading(vertex, name, self.trace) for name in vertex.parameters)
        if value.is_free or (not value.is_zero and (is_shared or not (folds and folds(vertex)))):
            return self._not_zero(vertex)
        held = bound.entries(name, value.size)
        if isinstance(held, str):
            return held
        self._touch(bound, held, value.labels, "reader")
        return None

    def _through_tensors(self, vertex: Vertex, value: Labelled) -> Labelled | str | None:
        """Note the entries of tensors that belong to labelled channels."""
        bound = bind(vertex, self.trace)
        if isinstance(bound, str):
            return bound
        names = bound.names
        name = names.operands[0][value.axis]
        tie = names.ties.get(name)
        if not name or name[0].isupper():
            return (
                vertex.rule.keeps_channels.format(name=vertex.name)
                or f"{vertex.name} acts along another axis"
            )
        if tie is None and name not in names.result:
            is_held = any(True for _ in bound.holding(name, value.size))
            why = (None if is_held else no_rule(vertex)) or owner_objection(vertex, self.trace)
            return why or self._read(bound, value, name)
        if tie is not None:
            if not value.is_zero:
                return self._not_zero(vertex)
            for sources in tie.sources or ():
                first = value.labels[sources[0]]
                self.labels.join_all([first] * (len(sources) - 1), [value.labels[i] for i in sources[1:]])
            labels = tuple(value.labels[sources[0]] for sources in tie.sources or ())
            axis = tie.axis
        else:
            labels, axis = value.labels, names.result.index(name)
        own = bound.entries(name, value.size) if tie is not None else []
        if vertex.shape[axis] not in (len(labels), -1):
            return f"{vertex.name} ({vertex.operator}) changes their axis"
        held = bound.entries(names.result[axis], len(labels))
        if isinstance(held, str) or isinstance(own, str):
            return held if isinstance(held, str) else str(own)
        silencing = bound.silencing(names.result[axis], len(labels), is_fed_zero=value.is_zero)
        if (held or own) and (why := owner_objection(vertex, self.trace)):
            return why
        if silencing is None and tie is None and name[0] == "~":
            # Each index is computed by itself, whatever it comes to.
            self._touch(bound, held, labels, "reader")
            return Labelled(axis, labels).freed
        if silencing is None:
            if vertex.role is Role.NORM and not vertex.annihilates:
                return f"{vertex.name} has no weights of its own that could make them zero again"
            return self._not_zero(vertex)
        if not silencing <= {source.tensor for _, source in held}:
            return self._not_zero(vertex)
        self._touch(bound, held, labels, "accessory", silencing)
        self._touch(bound, own, value.labels, "accessory")
        return Labelled(axis, labels)

    def _elementwise(self, vertex: Vertex, value: Labelled, shape: tuple[int, ...]) -> Labelled | str:
        if not vertex.rule.acts_on:
            return no_rule(vertex)
        if not keeps_axis(vertex, value.axis, shape):
            return f"{vertex.name} ({vertex.operator}) changes their axis"
        if value.is_zero and vertex.keeps_zero:
            return value
        if value.is_zero and value_at_zero(vertex) is not None:
            return replace(value, is_zero=False)
        return value if value.is_free else self._not_zero(vertex)

    def _joint(self, vertex: Vertex) -> Labelled | str | None:
        operands = [self.values[source] for source in vertex.inputs]
        if vertex.role is Role.CONCATENATING:
            return self._concatenation(vertex, operands)
        if not any(operands):
            return None
        bound = bind(vertex, self.trace)
        return bound if isinstance(bound, str) else self._met(bound, operands)

    def _met(self, bound: Bound, operands: Sequence[Labelled | None]) -> Labelled | str | None:
        """Join labels along axes of one name; what is summed over has to be cut in all operands."""
        vertex, names = bound.vertex, bound.names
        found: dict[str, list[int]] = {}
        for place, value in enumerate(operands):
            if value is not None:
                name = names.operands[place][value.axis]
                tied = name in names.ties
                found.setdefault(names.result[names.ties[name].axis] if tied else name, []).append(place)
        if any(not name or name[0].isupper() for name in found):
            why = vertex.rule.keeps_channels.format(name=vertex.name)
            return why or f"{vertex.name} ({vertex.operator}) joins them along an axis that cannot be cut"
        if any(bound.holds(name) for name in found if name not in names.result):
            return f"there is no rule for {vertex.operator} ({vertex.name}) of values and variables"
        if len(names.result) and sum(name in names.result for name in found) > 1:
            return f"{vertex.name} ({vertex.operator}) joins them with those along another axis"
        result: Labelled | None = None
        for name in found:
            met = self._along(bound, name, operands)
            if isinstance(met, str):
                return met
            labels = next((value.labels for value in met.values()), ())
            if any(value.size != len(labels) for value in met.values()):
                return f"{vertex.name} ({vertex.operator}) joins heads of different numbers"
            for value in met.values():
                self.labels.join_all(labels, value.labels)
            if name in names.result and met:
                held = bound.entries(name, len(labels))
                if isinstance(held, str):
                    return held
                self._touch(bound, held, labels, "reader")
                at = names.result.index(name)
                at_zero = [place for place, value in met.items() if value.is_zero]
                is_whole = len(met) < len(vertex.inputs)
                if bound.is_zero_with(at_zero):
                    result = Labelled(at, labels)
                elif vertex.rule.combine is None or is_whole or any(value.is_free for value in met.values()):
                    result = Labelled(at, labels).freed
                else:
                    result = Labelled(at, labels, is_zero=False)
            elif met and not any(value.is_zero for value in met.values()):
                return self._not_zero(vertex)
        return result

    def _along(
        self, bound: Bound, name: str, operands: Sequence[Labelled | None]
    ) -> dict[int, Labelled] | str:
        """Return the labels that meet along an axis by operand, or why they cannot be cut together."""
        vertex, names = bound.vertex, bound.names
        call = f"{vertex.name} ({vertex.operator})"
        met: dict[int, Labelled] = {}
        for place, source in enumerate(vertex.inputs):
            axes, shape, value = names.operands[place], self.trace.shapes[source], operands[place]
            size = shape[axes.index(name)] if name in axes else 1
            tie = next(
                (a for a in axes if a in names.ties and names.result[names.ties[a].axis] == name), None
            )
            if tie is not None:
                if value is None or axes[value.axis] != tie:
                    return f"{call} joins them with a value whose channels stay"
                lines = names.ties[tie].sources or ()
                met[place] = replace(value, labels=tuple(value.labels[line[0]] for line in lines))
                continue
            if value is not None and axes[value.axis] != name:
                value = None
            if name not in names.result:
                if name not in axes:
                    continue
                if value is None:
                    return f"{call} sums over them, with a value that stays whole"
                met[place] = value
            elif value is not None and size == vertex.shape[names.result.index(name)]:
                met[place] = value
            elif size != 1:
                return f"{call} joins them with a value whose channels stay"
            elif value is not None:
                self.labels.fix(value.labels, f"{vertex.name} spreads it over the channels of another value")
        return met

    def _concatenation(self, vertex: Vertex, operands: Sequence[Labelled | None]) -> Labelled | str:
        shapes = [self.trace.shapes[source] for source in vertex.inputs]
        dim = vertex.attributes.get("dim")
        if not isinstance(dim, int) or sum(shape[dim] for shape in shapes) != vertex.shape[dim]:
            return f"{vertex.name} concatenates constants too, whose places are not known"
        across = [value for value in operands if value is not None and value.axis != dim]
        if len(across) == len(operands) and len({(value.axis, value.size) for value in across}) == 1:
            for other in across:
                self.labels.join_all(across[0].labels, other.labels)
            return across[0] if all(value.is_zero for value in across) else across[0].freed
        if across:
            return f"{vertex.name} concatenates along axis {dim}, which does not hold channels"
        found: list[int] = []
        for value, shape in zip(operands, shapes, strict=True):
            if value is not None:
                found.extend(value.labels)
            else:
                found.extend(
                    self.labels.fixed(shape[dim], f"{vertex.name} has them from a value that stays whole")
                )
        is_zero = all(value is None or value.is_zero for value in operands)
        is_free = any(value is not None and value.is_free for value in operands)
        return Labelled(dim, tuple(found), is_zero, is_free)

    def _not_zero(self, vertex: Vertex) -> str:
        return f"they are not zero any more where {vertex.name} ({vertex.operator}) reads them"

    def _touch(
        self,
        bound: Bound,
        held: Iterable[tuple[str, Source]],
        labels: tuple[int, ...],
        part: Part,
        needed: Collection[str] = (),
    ) -> None:
        """Note the stored rows that belong to labels."""
        for argument, source in held:
            is_factor = source.tensor in bound.vertex.parameters and argument in bound.zeroed()
            is_zeroed = (part == "stem" and source.silences) or (
                part == "accessory" and ((is_factor and source.silences) or source.tensor in needed)
            )
            rows = labels if source.line is None else tuple(labels[i] if i >= 0 else -1 for i in source.line)
            is_needed = source.tensor in needed
            self.touches.append(
                Touch(bound.vertex.id, argument, source.tensor, source.dim, rows, part, is_zeroed, is_needed)
            )

    def _unite(self) -> None:
        """Join the labels of rows that several vertices read; a row that one of them needs whole stays."""
        found: dict[tuple[str, int], list[int]] = {}
        for place, touch in enumerate(self.touches):
            found.setdefault((touch.tensor, touch.dim), []).append(place)
        zeroed = {touch.tensor for touch in self.touches if touch.is_zeroed}
        for (tensor, dim), places in found.items():
            reads = self._reads(tensor)
            if len(places) == 1 and len(reads) < 2 and -1 not in self.touches[places[0]].labels:
                continue
            rows = [-1] * self.trace.tensor_shapes[tensor][dim]
            for place in places:
                for row, label in enumerate(self.touches[place].labels):
                    if label >= 0 and rows[row] >= 0:
                        self.labels.join(rows[row], label)
                    elif label >= 0:
                        rows[row] = label
            held = [row for row in rows if row >= 0]
            touching = {(t.vertex, t.argument) for t in (self.touches[place] for place in places)}
            if whole := [v for v, argument, _ in reads if (v, argument) not in touching]:
                first, *_ = min(touching)
                others = ", ".join(dict.fromkeys(self.trace[v].name for v in whole if v != first))
                name = self.trace[first].name
                why = (
                    f"shares the weights {tensor} with {others}"
                    if others
                    else f"also reads {tensor} otherwise"
                )
                self.labels.fix(held, f"{name} {why}")
            undefined = [v for v, _, value in reads if is_undefined_at_zero(self.trace, value)]
            if undefined and tensor in zeroed:
                name = self.trace[undefined[0]].name
                self.labels.fix(held, f"what {name} computes of {tensor} is not defined where it is zero")
            unread = self.labels.fixed(rows.count(-1), f"nothing reads these rows of {tensor}")
            rest = iter(unread)
            labels = tuple(label if label >= 0 else next(rest) for label in rows)
            for place in places:
                self.touches[place] = replace(self.touches[place], labels=labels)

    def _reads(self, tensor: str) -> list[tuple[str, str, str]]:
        """Return who reads a tensor: vertex, argument and value, by way of which it does."""
        readers = self.trace.parameter_readers.get(tensor) or self.trace.buffer_readers.get(tensor, ())
        found = []
        for vertex in dict.fromkeys(readers):
            values = tensors_of(self.trace[vertex]).items()
            mine = [(vertex, a, value) for a, value in values if tensor in self.trace.leaves(value)]
            found += mine or [(vertex, "", tensor)]
        return found

    def _keep_what_is_not_zeroed(self) -> None:
        """Fix channels that nothing sets to zero."""
        zeroed = {self.labels.find(label) for t in self.touches if t.is_zeroed for label in t.labels}
        for touch in self.touches:
            if touch.part == "stem":
                rest = [label for label in touch.labels if self.labels.find(label) not in zeroed]
                self.labels.fix(rest, f"nothing sets what {self.trace[touch.vertex].name} makes to zero")

    def _end(self, vertex_id: str, reason: str, *, weight: int = 0) -> None:
        value = self.values[vertex_id]
        if value is not None:
            self.labels.fix(value.labels, reason, weight=weight)

    def _blocked(
        self, axis: int | None, shape: tuple[int, ...], reason: str, *, weight: int = 0
    ) -> Labelled | None:
        """Label the channels of a value that all stay, with the reason for values that they meet."""
        if axis is None or not 0 <= axis < len(shape) or shape[axis] < 1:
            return None
        return Labelled(axis, self.labels.fixed(shape[axis], reason, weight=weight))
