"""Read one operator call of an exported graph: its name in the operator table and its arguments by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, fx

__all__ = [
    "arguments",
    "dead_code",
    "input_dependent",
    "insert_call",
    "is_in_place",
    "is_random",
    "is_tensor",
    "leaving",
    "nodes_in",
    "operand_nodes",
    "operator_name",
    "value_of",
    "written_operand",
]


_READ_NO_VALUE = frozenset(
    "new_full new_zeros new_ones new_empty zeros_like ones_like full_like empty_like rand_like "
    "randn_like".split()
)
"""Operators that read a tensor for its shape, dtype or device only."""


def operator_name(node: fx.Node) -> str:
    """Name in the operator table: that of aten, without overload and without a trailing underscore."""
    if isinstance(node.target, torch._ops.OpOverload):
        name = node.target._schema.name.split("::")[-1]
        if name == "opaque":
            return "stochastic_depth"
        return name.rstrip("_") if not name.startswith("__") else name
    return str(getattr(node.target, "__name__", node.target))


def arguments(node: fx.Node) -> dict[str, Any]:
    """Arguments of a call by the names of its schema, with the defaults that the call leaves out."""
    if not isinstance(node.target, torch._ops.OpOverload):
        return dict(zip(("self", "index"), node.args, strict=False))
    schema = node.target._schema.arguments
    given = dict(zip((argument.name for argument in schema), node.args, strict=False)) | node.kwargs
    return {a.name: given.get(a.name, a.default_value) for a in schema}


def value_of(node: fx.Node) -> Any:
    """The value without data that export saw: a fake tensor, a list of them, or a symbolic number."""
    return node.meta.get("val")


def is_tensor(node: fx.Node) -> bool:
    """Whether its value is a tensor or a sequence of tensors."""
    value = value_of(node)
    return isinstance(value, Tensor) or (
        isinstance(value, list | tuple) and any(isinstance(item, Tensor) for item in value)
    )


def operand_nodes(node: fx.Node) -> Iterator[fx.Node]:
    """Tensor operands in order; one that is read twice comes twice."""
    return (operand for operand in nodes_in((node.args, node.kwargs)) if is_tensor(operand))


def nodes_in(value: Any) -> list[fx.Node]:
    """Nodes in nested arguments, in order."""
    found: list[fx.Node] = []
    fx.map_arg(value, found.append)
    return found


def leaving(graph: fx.Graph) -> tuple[fx.Node, ...]:
    """Nodes that the flat output of an exported graph returns."""
    return tuple(nodes_in(graph.output_node().args))


def input_dependent(graph: fx.Graph) -> set[fx.Node]:
    """Nodes whose values depend on values (not only sizes) of the network's input."""
    dependent: set[fx.Node] = set()
    for node in graph.nodes:
        if node.op not in ("placeholder", "call_function") or not is_tensor(node):
            continue
        if operator_name(node) in _READ_NO_VALUE:
            continue
        if node.op == "placeholder" or any(operand in dependent for operand in operand_nodes(node)):
            dependent.add(node)
    return dependent


def is_random(node: fx.Node) -> bool:
    """Whether a call draws random numbers; attention that drops nothing draws none."""
    if not isinstance(node.target, torch._ops.OpOverload):
        return False
    draws = torch.Tag.nondeterministic_seeded in node.target.tags
    return draws and arguments(node).get("dropout_p") != 0.0


def is_in_place(node: fx.Node) -> bool:
    """Whether a call writes to one of its operands."""
    return isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable


def written_operand(node: fx.Node) -> fx.Node:
    """The operand that a call writes to: the first one, or `out`."""
    assert isinstance(node.target, torch._ops.OpOverload)
    written = [a.name for a in node.target._schema.arguments if a.alias_info and a.alias_info.is_write]
    if len(written) != 1:
        raise NotImplementedError(f"{node.target} writes to {len(written)} operands")
    operand: fx.Node = arguments(node)[written[0]]
    return operand


def dead_code(graph: fx.Graph) -> None:
    """Erase what nobody reads, in place; placeholders and what writes to a tensor of the module stay."""
    for node in reversed(list(graph.nodes)):
        if (
            not node.users
            and node.op in ("get_attr", "call_function", "call_module")
            and not is_in_place(node)
        ):
            graph.erase_node(node)


def insert_call(
    graph: fx.Graph,
    before: fx.Node,
    target: Callable[..., Any],
    args: tuple[Any, ...],
    like: fx.Node,
    value: Any,
) -> fx.Node:
    """A new call before `before` with the origin of `like`."""
    with graph.inserting_before(before):
        node = graph.call_function(target, args)
    node.meta = {**like.meta, "val": value}
    return node
