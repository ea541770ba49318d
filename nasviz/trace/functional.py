"""Functionalization: replace in-place writes, also through views, by functional operators.

Every tensor of an exported graph is a variable: a node, and every in-place call that returns it. A view is a
variable with a parent. A write gives the variable a new value. The value propagates up to the parents, each
of which is rebuilt around it, and down to all other views, which are recomputed. Views that are unused
afterwards are removed by dead code elimination.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx

from nasviz.trace.calls import (
    eliminate_dead_code,
    insert_call,
    is_in_place,
    operator_name,
    value_of,
    written_operand,
)
from nasviz.trace.export import Program

__all__ = ["make_functional"]

aten = torch.ops.aten


def make_functional(program: Program) -> None:
    """Rewrite `program` so that no call writes to a value of the graph.

    Writes to parameters and buffers of the user's module stay: they are part of what it computes.

    Raises:
        NotImplementedError: A write goes through a view with unknown inverse.
    """
    if not any(node.op == "call_function" and is_in_place(node) for node in program.graph.nodes):
        return
    variables = _Variables(program)
    for node in list(program.graph.nodes):
        variables.visit(node)
    for node in reversed(variables.replaced):
        program.graph.erase_node(node)
    eliminate_dead_code(program.graph)


class _Variables:
    """Current node of each variable while a graph is rewritten from first to last node."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.variable: dict[fx.Node, fx.Node] = {}
        self.current: dict[fx.Node, fx.Node] = {}
        self.parent: dict[fx.Node, fx.Node] = {}
        self.children: dict[fx.Node, list[fx.Node]] = {}
        self.replaced: list[fx.Node] = []

    def now(self, node: fx.Node) -> fx.Node:
        """Return the node that currently holds the value of `node`."""
        variable = self.variable[node]
        return self.current[variable]

    def visit(self, node: fx.Node) -> None:
        """Rewrite one node."""
        # The operands are read before `node.args` is rewritten.
        written = written_operand(node) if node.op == "call_function" and is_in_place(node) else node
        source = _view_source(node)
        node.args = fx.map_arg(node.args, self.now)
        node.kwargs = fx.map_arg(node.kwargs, self.now)
        self.variable[node] = self.current[node] = node
        if node.op != "call_function":
            return
        if is_in_place(node):
            target = self.variable[written]
            if not self._is_user_tensor(target):
                self.variable[node] = target
                self.replaced.append(node)
                self.write(target, self._functional(node), node)
        elif source is not None:
            self.parent[node] = self.variable[source]
            self.children.setdefault(self.variable[source], []).append(node)

    def write(self, variable: fx.Node, value: fx.Node, before: fx.Node) -> None:
        """Set `variable` to `value` from `before` on, and update everything that shares its memory."""
        path = {variable}
        self.current[variable] = value
        while variable in self.parent:
            value = _scatter(self.program.graph, variable, self.current[self.parent[variable]], value, before)
            variable = self.parent[variable]
            self.current[variable] = value
            path.add(variable)
        self._refresh(variable, path, before)

    def _refresh(self, variable: fx.Node, path: set[fx.Node], before: fx.Node) -> None:
        for child in self.children.get(variable, ()):
            if child not in path:
                graph = self.program.graph
                args = (self.current[variable], *child.args[1:])
                assert callable(child.target)
                self.current[child] = insert_call(graph, before, child.target, args, child, value_of(child))
                self.current[child].kwargs = child.kwargs
            self._refresh(child, path, before)

    def _is_user_tensor(self, variable: fx.Node) -> bool:
        """Return whether a write reaches a parameter or buffer of the user's module."""
        while variable in self.parent:
            variable = self.parent[variable]
        return variable.op == "get_attr" and variable.target not in self.program.constants

    def _functional(self, node: fx.Node) -> fx.Node:
        assert isinstance(node.target, torch._ops.OpOverload)
        name = operator_name(node)
        target: Callable[..., Any] | None
        if "out" in node.kwargs:
            raise NotImplementedError(f"{node.target} writes to a value of the network")
        if name == "detach":
            target = aten.detach.default
        elif name == "bernoulli":
            target = aten.bernoulli.p
        else:
            packet = getattr(aten, name, None)
            target = getattr(packet, node.target._overloadname, None)
        if target is None:
            raise NotImplementedError(f"aten.{node.target} has no functional form")
        call = insert_call(self.program.graph, node, target, node.args, node, value_of(node))
        call.kwargs = node.kwargs
        return call


def _view_source(node: fx.Node) -> fx.Node | None:
    """Return the first operand if the result of a call shares its memory."""
    first = node.args[0] if node.args else None
    if node.op != "call_function" or not isinstance(first, fx.Node):
        return None
    mine, its = _storage(value_of(node)), _storage(value_of(first))
    return first if mine is not None and mine == its else None


def _storage(value: Any) -> int | None:
    if isinstance(value, list | tuple) and value:
        value = value[0]
    return value.untyped_storage()._cdata if isinstance(value, Tensor) else None


def _scatter(graph: fx.Graph, view: fx.Node, whole: fx.Node, part: fx.Node, before: fx.Node) -> fx.Node:
    """Return `whole` with `part` written to the place that `view` selects."""
    name, value = operator_name(view), value_of(whole)
    rest: Any = tuple(view.args[1:])

    def call(target: Any, *args: Any) -> fx.Node:
        return insert_call(graph, before, target, args, part, value)

    if name == "slice":
        return call(aten.slice_scatter.default, whole, part, *rest)
    if name == "select":
        return call(aten.select_scatter.default, whole, part, *rest)
    if name == "transpose":
        return call(aten.transpose.int, part, *rest)
    if name == "t":
        return call(aten.t.default, part)
    if name == "permute":
        inverse = sorted(range(len(rest[0])), key=lambda axis: rest[0][axis] % len(rest[0]))
        return call(aten.permute.default, part, inverse)
    if name in ("alias", "detach", "to", "contiguous", "view_as", "reshape_as", "dropout", "expand_as") and (
        value_of(part).shape == value.shape
    ):
        return part
    sizes = [size if isinstance(size, int) else -1 for size in value.shape]
    if name in ("view", "reshape", "flatten", "unflatten", "unsqueeze", "squeeze") and sizes.count(-1) <= 1:
        return call(aten.reshape.default, part, sizes)
    raise NotImplementedError(f"in-place write through a view made by aten.{name}")
