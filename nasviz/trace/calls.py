"""Access to the operator calls of an exported graph: operator name and arguments by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, fx

__all__ = [
    "arguments",
    "eliminate_dead_code",
    "input_dependent",
    "insert_call",
    "is_in_place",
    "is_random",
    "is_tensor",
    "nodes_in",
    "operand_nodes",
    "operator_name",
    "output_nodes",
    "random_calls",
    "value_of",
    "written_operand",
]


_READ_NO_VALUE = frozenset(
    "new_full new_zeros new_ones new_empty zeros_like ones_like full_like empty_like rand_like "
    "randn_like".split()
)
"""Operators that read a tensor for its shape, dtype or device only."""


def operator_name(node: fx.Node) -> str:
    """Return the name of its rule: that of aten, without overload and without a trailing underscore.

    An operator of another library is named with it: its name alone may be one of aten.
    """
    if isinstance(node.target, torch._ops.OpOverload):
        library, _, name = node.target._schema.name.partition("::")
        if name == "opaque":
            return "stochastic_depth"
        if library not in ("aten", "prim"):
            return f"{library}::{name}"
        return name.rstrip("_") if not name.startswith("__") else name
    return str(getattr(node.target, "__name__", node.target))


def arguments(node: fx.Node) -> dict[str, Any]:
    """Return the arguments of a call by schema name, defaults included."""
    if not isinstance(node.target, torch._ops.OpOverload):
        return dict(zip(("self", "index"), node.args, strict=False))
    schema = node.target._schema.arguments
    given = dict(zip((argument.name for argument in schema), node.args, strict=False)) | node.kwargs
    return {a.name: given.get(a.name, a.default_value) for a in schema}


def value_of(node: fx.Node) -> Any:
    """Return the value that export recorded: a fake tensor, a list of them, or a symbolic number."""
    return node.meta.get("val")


def is_tensor(node: fx.Node) -> bool:
    """Return whether the value is a tensor or a sequence of tensors."""
    value = value_of(node)
    return isinstance(value, Tensor) or (
        isinstance(value, list | tuple) and any(isinstance(item, Tensor) for item in value)
    )


def operand_nodes(node: fx.Node) -> Iterator[fx.Node]:
    """Yield the tensor operands in order; an operand that is read twice comes twice."""
    return (operand for operand in nodes_in((node.args, node.kwargs)) if is_tensor(operand))


def nodes_in(value: Any) -> list[fx.Node]:
    """Return the nodes in nested arguments, in order."""
    found: list[fx.Node] = []
    fx.map_arg(value, found.append)
    return found


def output_nodes(graph: fx.Graph) -> tuple[fx.Node, ...]:
    """Return the nodes that the flat output of an exported graph returns."""
    return tuple(nodes_in(graph.output_node().args))


def input_dependent(graph: fx.Graph) -> set[fx.Node]:
    """Return the nodes that depend on values (not only sizes) of the network's input."""
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
    """Return whether a call draws random numbers; attention without dropout draws none."""
    if not isinstance(node.target, torch._ops.OpOverload):
        return False
    # Attention carries the tag even without dropout.
    draws = torch.Tag.nondeterministic_seeded in node.target.tags
    return draws and arguments(node).get("dropout_p") != 0.0


def is_in_place(node: fx.Node) -> bool:
    """Return whether a call writes to one of its operands."""
    return isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable


def random_calls(graph: fx.Graph) -> frozenset[fx.Node]:
    """Return the calls that draw random numbers."""
    return frozenset(node for node in graph.nodes if is_random(node))


def written_operand(node: fx.Node) -> fx.Node:
    """Return the operand that a call writes to: the first one, or `out`."""
    assert isinstance(node.target, torch._ops.OpOverload)
    written = [a.name for a in node.target._schema.arguments if a.alias_info and a.alias_info.is_write]
    if len(written) != 1:
        raise NotImplementedError(f"{node.target} writes to {len(written)} operands")
    operand: fx.Node = arguments(node)[written[0]]
    return operand


def eliminate_dead_code(graph: fx.Graph) -> None:
    """Erase unused nodes, in place; keep placeholders and writes to a tensor of the module."""
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
    """Insert a call before `before`, with the origin of `like`."""
    with graph.inserting_before(before):
        node = graph.call_function(target, args)
    node.meta = {**like.meta, "val": value}
    return node
