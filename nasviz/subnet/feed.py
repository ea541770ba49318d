"""Inputs for a traced network, and its arguments put together from them."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, fx

from nasviz.graph import TraceGraph

__all__ = ["arguments", "example_inputs"]


def example_inputs(
    net: fx.GraphModule, trace: TraceGraph, *, batch: int = 2, seed: int = 0
) -> tuple[Any, ...]:
    """Seeded random arguments of the shapes that a network was traced with, in its precision, on its device.

    Whole numbers stay below the smallest table that they are looked up in, or below 2.
    """
    generator = torch.Generator().manual_seed(seed)
    like = next((p for p in net.parameters() if p.is_floating_point()), torch.empty(0))
    values: dict[str, Tensor] = {}
    for virtual in trace.inputs:
        shape = tuple(batch if size < 0 else size for size in virtual.shape)
        dtype: torch.dtype = getattr(torch, virtual.dtype)
        if dtype.is_floating_point:
            values[virtual.id] = torch.randn(shape, generator=generator).to(like)
        else:
            high = 2 if dtype == torch.bool else _smallest_table(trace, virtual.id)
            values[virtual.id] = torch.randint(high, shape, generator=generator).to(like.device, dtype)
    return tuple(_nested(node, values) for node in net.graph.nodes if node.op == "placeholder")


def _smallest_table(trace: TraceGraph, input_id: str) -> int:
    readers = [trace[v] for v in trace.consumers[input_id] if v in trace]
    tables = [v.parameters[0] for v in readers if v.operator == "embedding" and v.parameters]
    return min((trace.parameter_shapes[name][0] for name in tables), default=2)


def _nested(node: fx.Node, values: Mapping[str, Tensor]) -> Any:
    """The argument from which a graph takes these values by keys and indices."""
    if node.name in values:
        return values[node.name]
    taken = [user for user in node.users if user.target is operator.getitem]
    items: dict[Any, Any] = {user.args[1]: _nested(user, values) for user in taken}
    if items and all(isinstance(key, int) for key in items):
        return [items.get(index) for index in range(max(items) + 1)]
    return items or None


def arguments(net: fx.GraphModule, inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and keyword arguments of `net` from a tensor, a tuple of them, or a dict by keyword."""
    if isinstance(inputs, Mapping):
        names = {node.target for node in net.graph.nodes if node.op == "placeholder"}
        return ((), dict(inputs)) if names.issuperset(inputs) else ((inputs,), {})
    return (tuple(inputs), {}) if isinstance(inputs, tuple | list) else ((inputs,), {})
