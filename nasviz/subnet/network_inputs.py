"""Inputs of a network: the traced shapes, random tensors of these shapes, and positional arguments."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, fx, nn

from nasviz.errors import ConstructionError
from nasviz.graph import Input
from nasviz.trace.inputs import known_description, zeros_of

__all__ = ["arguments", "example_inputs", "record_inputs", "recorded_inputs"]

_KEY = "nasviz_inputs"


def record_inputs(net: fx.GraphModule, inputs: Sequence[Input]) -> None:
    """Attach the traced inputs to a network; copies keep them."""
    net.meta[_KEY] = tuple(inputs)


def recorded_inputs(net: nn.Module) -> tuple[Input, ...] | None:
    """Return the traced inputs of a sub-network, a loaded or a traced network, else `None`."""
    remembered = net.meta.get(_KEY) if isinstance(net, fx.GraphModule) else None
    traced = getattr(net, "trace_graph", None)
    return remembered or (traced.inputs if traced is not None else None)


def example_inputs(
    net: fx.GraphModule, inputs: Sequence[Input], *, batch: int = 2, seed: int = 0
) -> tuple[Any, ...]:
    """Return seeded random arguments of these shapes, in the dtype and on the device of the network.

    Integers stay below the size of the smallest embedding that they index, or below 2.
    """
    generator = torch.Generator().manual_seed(seed)
    like = next((p for p in net.parameters() if p.is_floating_point()), torch.empty(0))
    nodes = {node.name: node for node in net.graph.nodes}
    values: dict[str, Tensor] = {}
    for virtual in inputs:
        shape = tuple(batch if size < 0 else size for size in virtual.shape)
        dtype: torch.dtype = getattr(torch, virtual.dtype)
        if dtype.is_floating_point:
            values[virtual.id] = torch.randn(shape, generator=generator).to(like)
        else:
            high = (
                2
                if dtype == torch.bool or virtual.id not in nodes
                else _smallest_table(net, nodes[virtual.id])
            )
            values[virtual.id] = torch.randint(high, shape, generator=generator).to(like.device, dtype)
    placeholders = [node for node in net.graph.nodes if node.op == "placeholder"]
    taken = known_description(net.graph) or {}
    return tuple(
        _completed(_nested(node, values), taken.get(str(node.target)), batch, like) for node in placeholders
    )


def _completed(value: Any, description: Any, batch: int, like: Tensor) -> Any:
    """Return an argument with its unused parts filled in: traced values, and zeros for tensors."""
    if isinstance(description, list):
        parts = value if isinstance(value, list) else []
        parts = [*parts, *[None] * (len(description) - len(parts))]
        return [_completed(p, d, batch, like) for p, d in zip(parts, description, strict=True)]
    if isinstance(description, dict):
        known = value if isinstance(value, dict) else {}
        return {key: _completed(known.get(key), d, batch, like) for key, d in description.items()}
    if description is None or value is not None:
        return value
    kind, *rest = description
    if kind == "object":
        return SimpleNamespace(**{key: _completed(None, d, batch, like) for key, d in rest[0].items()})
    if kind == "value":
        return rest[0]
    return None if kind == "anything" else zeros_of(description, batch, like)


def _smallest_table(net: fx.GraphModule, node: fx.Node) -> int:
    sizes = [2]
    for reader in node.users:
        if reader.op == "call_module":
            module = net.get_submodule(str(reader.target))
            sizes += [module.num_embeddings] if isinstance(module, nn.Embedding) else []
    return min(sizes[1:], default=2)


def _nested(node: fx.Node, values: Mapping[str, Tensor]) -> Any:
    """Return the argument from which a graph reads these values by key, index and attribute."""
    if node.name in values:
        return values[node.name]
    taken = [user for user in node.users if user.target is operator.getitem]
    fields = [user for user in node.users if user.target is getattr]
    if fields:
        return SimpleNamespace(**{str(user.args[1]): _nested(user, values) for user in fields})
    items: dict[Any, Any] = {user.args[1]: _nested(user, values) for user in taken}
    if items and all(isinstance(key, int) for key in items):
        return [items.get(index) for index in range(max(items) + 1)]
    return items or None


def arguments(net: nn.Module, inputs: Any) -> tuple[Any, ...]:
    """Return positional arguments of `net` from a tensor, a tuple of them, or a dict of keyword arguments.

    Raises:
        ConstructionError: The signature of `net` does not match.
    """
    if not isinstance(inputs, Mapping):
        return tuple(inputs) if isinstance(inputs, tuple | list) else (inputs,)
    signature = inspect.signature(net.forward)
    try:
        bound = signature.bind(**inputs)
    except TypeError as error:
        raise ConstructionError(f"the network takes {signature}, not {sorted(inputs)}: {error}") from error
    bound.apply_defaults()
    return tuple(bound.arguments.values())
