"""One call with its rule: which argument is which tensor, and the names of all axes.

It makes no difference how a parameter or buffer reaches an operator: as a member of a module, by itself, or
as an argument of a functional call.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from nasviz.graph.operators.moves import piece
from nasviz.graph.operators.rules import (
    INPUTS,
    MEASURED,
    UNKNOWN,
    AxisNames,
    Move,
    Role,
    axis_names,
    factors_of,
    terms,
)
from nasviz.graph.operators.values import same
from nasviz.graph.trace_graph import Attribute, TraceGraph, Vertex

__all__ = [
    "Bound",
    "bind",
    "is_foreign",
    "move_of",
    "no_rule",
    "number_after",
    "owner_objection",
    "value_at_zero",
]


@dataclass(frozen=True, slots=True)
class Bound:
    """A call whose tensors and axes are known."""

    vertex: Vertex
    names: AxisNames
    tensors: Mapping[str, str]
    """Parameters and buffers by argument."""
    shapes: Mapping[str, tuple[int, ...]]
    """Of the tensors, by argument."""
    operands: tuple[str, ...]
    """Arguments that depend on the input."""

    @property
    def made(self) -> str | None:
        """The axis whose indices are made here: of the result and a tensor, but of no operand."""
        taken = {name for operand in self.names.operands for name in operand}
        tied = {self.names.result[tie.axis] for tie in self.names.ties.values()}
        return next(
            (
                name
                for name in self.names.result
                if name and name not in taken | tied and any(name in t for t in self.names.tensors.values())
            ),
            None,
        )

    def holding(self, name: str, size: int) -> Iterator[tuple[str, int]]:
        """Yield the tensors that have an entry for each index of an axis, with their dimension."""
        for argument, shape in self.shapes.items():
            names = self.names.tensors.get(argument, ())
            if name in names and shape[names.index(name)] == size:
                yield argument, names.index(name)

    def silencing(self, name: str, size: int, *, is_fed_zero: bool) -> tuple[str, ...] | None:
        """Return arguments whose entries must be zero for the result to be zero at an index of an axis.

        `None` where no entries make it zero. Other constants than zero end at a norm only.
        """
        vertex = self.vertex
        if is_fed_zero and vertex.keeps_zero:
            return ()
        formula = vertex.rule.zero
        is_closed = vertex.closes if is_fed_zero else vertex.annihilates and vertex.role is Role.NORM
        if not is_closed or not isinstance(formula, str) or formula in (INPUTS, MEASURED):
            return None
        held = {argument for argument, _ in self.holding(name, size)}
        held = {argument for argument in held if self.tensors[argument] in vertex.parameters}
        found: dict[str, None] = {}
        for term in terms(formula):
            if is_fed_zero and not set(self.operands).isdisjoint(term):
                continue
            factor = next((factor for factor in term if factor in held), None)
            if factor is not None:
                found[factor] = None
            elif len(term) > 1 or term[0] in self.tensors:
                return None  # an optional argument that is left out adds nothing
        return tuple(found)

    def zeroed(self) -> frozenset[str]:
        """Return the arguments whose entries belong to a channel: the factors of its result."""
        formula = self.vertex.rule.zero
        return factors_of(formula) if isinstance(formula, str) else frozenset()

    def settings(self, counts: Mapping[str, int]) -> dict[str, int | float]:
        """Return the settings that count an axis, from the new number of its indices."""
        rule = self.vertex.rule
        sizes = self.names.sizes or {setting: (name, 1) for setting, name in rule.sizes.items()}
        return {
            setting: counts[name] // width
            for setting, (name, width) in sizes.items()
            if name in counts and (self.vertex.module or setting in rule.literals)
        }


def bind(vertex: Vertex, trace: TraceGraph) -> Bound | str:
    """Return a call with the names of its axes, or why there are none."""
    rule = vertex.rule
    if rule.axes is None:
        return no_rule(vertex)
    tensors = _tensors(vertex)
    if not vertex.module and _is_computed(vertex, tensors):
        return f"there is no rule for {vertex.operator} ({vertex.name}) of values and variables"
    operands = tuple(name for name in rule.arguments if name not in tensors)[: len(vertex.inputs)]
    if len(operands) < len(vertex.inputs):
        return no_rule(vertex)
    known = trace.parameter_shapes, trace.buffer_shapes
    shapes = {a: tuple(known[0].get(name) or known[1].get(name, ())) for a, name in tensors.items()}
    given = [trace.shapes[source] for source in vertex.inputs]
    names: AxisNames | str | None
    if isinstance(rule.axes, str):
        ranks = tuple((name, len(shape)) for name, shape in zip(operands, given, strict=True))
        names = axis_names(
            rule.axes,
            rule.arguments,
            ranks,
            tuple((name, len(shape)) for name, shape in shapes.items()),
            len(vertex.shape),
        )
    else:
        names = rule.axes(vertex, given, shapes)
    if names is None:
        return f"there is no rule for {vertex.operator} ({vertex.name}) of operands with so many axes"
    return names if isinstance(names, str) else Bound(vertex, names, tensors, shapes, operands)


def _tensors(vertex: Vertex) -> Mapping[str, str]:
    """Return parameters and buffers by argument.

    Graphs of nasviz 0.1 and of `torch.fx` list those of modules and linear maps in order only.
    """
    if vertex.tensors or not (vertex.module or "in_features" in vertex.attributes):
        return vertex.tensors
    rule = vertex.rule
    found = dict(zip(rule.arguments[1:], vertex.parameters, strict=False))
    for argument in rule.arguments:
        name = next((name for name in vertex.buffers if name.rpartition(".")[2] == argument), None)
        if name is not None:
            found[argument] = name
    return found


def _is_computed(vertex: Vertex, tensors: Mapping[str, str]) -> bool:
    """Return whether an operand is computed of parameters or buffers, unless that is a single number."""
    if vertex.attributes.get("factor_shape") == ():
        return False
    others = {*vertex.parameters, *vertex.buffers} - set(tensors.values())
    return bool(others) or bool(vertex.attributes.get("computed"))


def no_rule(vertex: Vertex) -> str:
    """Return that there is no rule for a vertex, and for an operator without any how to give it one."""
    hint = "; nasviz.register_operator can give it one" if is_foreign(vertex) else ""
    return f"there is no rule for {vertex.operator} ({vertex.name}){hint}"


def is_foreign(vertex: Vertex) -> bool:
    """Return whether a vertex calls an operator of another library that was not registered."""
    return "::" in vertex.operator and vertex.rule is UNKNOWN


def owner_objection(vertex: Vertex, trace: TraceGraph) -> str | None:
    """Return why the tensors of a vertex cannot be cut; `None` where they are its own."""
    if vertex.attributes.get("computed_weight"):
        return f"the weight of {vertex.name} is computed from its variables, not one of them"
    bare = () if vertex.module else vertex.tensors.values()
    for name in dict.fromkeys((*vertex.parameters, *bare)):
        readers = trace.parameter_readers.get(name) or trace.buffer_readers.get(name, ())
        if len(readers) > 1:
            others = ", ".join(trace[v].name for v in readers if v != vertex.id)
            return f"{vertex.name} shares the weights {name} with {others or 'itself'}"
    return None


def move_of(vertex: Vertex, trace: TraceGraph) -> Move | str | None:
    """Return how a vertex moves values, or why there is no rule; `None` where it does something else."""
    rule, source = vertex.rule, vertex.inputs[0]
    if rule.takes_piece:
        whole = move_of(trace[source], trace) if source in trace else None
        return piece(vertex, whole)
    if rule.move is None or vertex.is_joint:
        return None
    return rule.move(vertex, trace.shapes[source])


def number_after(vertex: Vertex, number: float, shape: tuple[int, ...] = ()) -> float | None:
    """Return what an operator makes of a channel that holds one number; `None` where that is not known.

    Args:
        vertex: Of one operand.
        number: What all of the channel is.
        shape: Of its operand.

    Examples:
        >>> number_after(Vertex("a", "a", "sigmoid", ("x",)), 0.0)
        0.5
        >>> number_after(Vertex("a", "a", "log", ("x",)), 0.0) is None
        True
    """
    value = vertex.rule.value
    if number == 0 and (vertex.keeps_zero or value is same):
        return 0.0
    if value is None or vertex.parameters or vertex.buffers or not vertex.dtype.startswith("float"):
        return None
    given: dict[str, Attribute] = {k: v for k, v in vertex.attributes.items() if v is not None}
    if isinstance(dims := given.get("dims"), tuple) and shape:
        given["lengths"] = tuple(shape[dim] for dim in dims if dim is not None)
    try:
        after = value(number, given)
    except (KeyError, ValueError, TypeError, ZeroDivisionError, OverflowError):
        return None
    return float(after) if isinstance(after, int | float) and math.isfinite(after) else None


def value_at_zero(vertex: Vertex) -> float | None:
    """Return what an activation that is never zero at zero makes of it; `None` for any other operator."""
    is_shifting = vertex.rule.acts_on == "numbers" and vertex.rule.zero is None
    return number_after(vertex, 0.0) if is_shifting else None
