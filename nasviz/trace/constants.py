"""Constant folding, and removal of operands that only lend a shape, device or dtype.

Values computed from literals alone (index tables, attention masks, positions) are computed once and become
buffers that move with the network. Operands that only lend their shape or dtype are replaced by literals, so
that erasing them later changes nothing.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx

from nasviz.trace.calls import (
    arguments,
    eliminate_dead_code,
    input_dependent,
    insert_call,
    is_in_place,
    is_random,
    operator_name,
    value_of,
)
from nasviz.trace.export import Program
from nasviz.trace.sizes import BatchSizes

__all__ = ["fold_constants", "remove_shape_operands"]

aten = torch.ops.aten
_FILLS = {
    "new_zeros": 0,
    "zeros_like": 0,
    "zeros": 0,
    "new_ones": 1,
    "ones_like": 1,
    "ones": 1,
    "new_full": None,
    "full_like": None,
    "full": None,
}


_EMPTY = ("new_empty", "empty", "empty_like", "rand_like", "randn_like")


def remove_shape_operands(program: Program, sizes: BatchSizes) -> None:
    """Rewrite, in place, calls that read a tensor only for its shape, dtype or device."""
    graph = program.graph
    dependent = input_dependent(graph)
    anchor = next((node for node in graph.nodes if node in dependent), None)
    for node in list(graph.nodes):
        if node.op != "call_function" or not isinstance(value_of(node), Tensor):
            continue
        name, value = operator_name(node), value_of(node)
        made = None
        if name in ("to", "type_as"):
            made = node.args[0]
            if value_of(made).dtype != value.dtype:
                made = insert_call(graph, node, aten.to.dtype, (made, value.dtype), node, value)
        elif name in ("expand_as", "view_as", "reshape_as"):
            target = {
                "expand_as": aten.expand.default,
                "view_as": aten.view.default,
                "reshape_as": aten.reshape.default,
            }[name]
            shape = sizes.nodes(value.shape)
            made = shape and insert_call(graph, node, target, (node.args[0], shape), node, value)
        elif name in _EMPTY and anchor is not None:
            made = _empty(graph, node, value, anchor, sizes)
        elif name in _FILLS and anchor is not None:
            fill = _FILLS[name] if _FILLS[name] is not None else arguments(node)["fill_value"]
            made = _filled(program, node, value, fill, anchor, sizes)
        if made is not None:
            node.replace_all_uses_with(made)
            graph.erase_node(node)


def _empty(
    graph: fx.Graph, node: fx.Node, value: Tensor, anchor: fx.Node, sizes: BatchSizes
) -> fx.Node | None:
    """Return uninitialized memory on the input's device, or random numbers drawn in it."""
    shape = sizes.nodes(value.shape)
    if shape is None:
        return None
    made = insert_call(graph, node, aten.new_empty.default, (anchor, shape), node, value)
    made.kwargs = {} if value_of(anchor).dtype == value.dtype else {"dtype": value.dtype}
    if "rand" not in operator_name(node):
        return made
    assert callable(node.target)
    return insert_call(graph, node, node.target, (made,), node, value)


def _filled(
    program: Program, node: fx.Node, value: Tensor, fill: Any, anchor: fx.Node, sizes: BatchSizes
) -> fx.Node | None:
    """Return a tensor of one number: a constant, or a call if its shape depends on the batch."""
    if all(isinstance(size, int) for size in value.shape):
        if isinstance(fill, fx.Node):
            return None
        device = value.device
        return _attribute(program, node, torch.full(value.shape, fill, dtype=value.dtype, device=device))
    shape = sizes.nodes(value.shape)
    if shape is None:
        return None
    follows = value_of(anchor).dtype == value.dtype
    if value.dtype.is_floating_point and not follows:
        # A buffer follows the network's device and precision; a literal dtype would not.
        like = torch.zeros((), dtype=value.dtype, device=value.device)
        anchor, follows = _attribute(program, node, like), True
        anchor.meta["val"] = value.new_empty(())
    made = insert_call(program.graph, node, aten.new_full.default, (anchor, shape, fill), node, value)
    made.kwargs = {} if follows else {"dtype": value.dtype}
    return made


def fold_constants(program: Program) -> None:
    """Evaluate, in place, every sub-graph that reads neither the input nor the user's tensors."""
    graph = program.graph
    known: dict[fx.Node, Any] = {}
    for node in graph.nodes:
        if node.op == "get_attr" and node.target in program.constants:
            known[node] = program.tensors[node.target]
        elif (
            node.op == "call_function"
            and _is_foldable(node)
            and all(n in known for n in node.all_input_nodes)
        ):
            with torch.no_grad():
                known[node] = node.target(
                    *fx.map_arg(node.args, known.__getitem__), **fx.map_arg(node.kwargs, known.__getitem__)
                )
    for node, value in known.items():
        if (
            node.op == "call_function"
            and isinstance(value, Tensor)
            and any(u not in known for u in node.users)
        ):
            made = _attribute(program, node, value)
            node.replace_all_uses_with(made, delete_user_cb=lambda user: user not in known)
    eliminate_dead_code(graph)


def _is_foldable(node: fx.Node) -> bool:
    value = value_of(node)
    tensors = [value] if isinstance(value, Tensor) else value
    if not isinstance(tensors, list | tuple) or is_random(node) or is_in_place(node):
        return False
    if operator_name(node) in ("empty", "new_empty", "empty_like"):
        return False
    return all(isinstance(t, Tensor) and all(isinstance(s, int) for s in t.shape) for t in tensors)


def _attribute(program: Program, before: fx.Node, value: Tensor) -> fx.Node:
    name = program.name_constant(value.clone())
    with program.graph.inserting_before(before):
        node = program.graph.create_node("get_attr", name)
    node.meta = dict(before.meta)
    return node
