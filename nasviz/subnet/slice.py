"""Slicing of parameters and buffers, and the matching attributes of modules and literals of calls."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, fx, nn

from nasviz.errors import ConstructionError
from nasviz.graph import ConstructionPlan, Slice, TraceGraph, Vertex

__all__ = ["cut", "cut_tensors_", "retype_"]


def cut(tensor: Tensor, slices: Iterable[Slice]) -> Tensor:
    """Return `tensor` without the rows of `slices`, which are indices of `tensor`.

    Examples:
        >>> cut(torch.arange(6).view(2, 3), [Slice("weight", 1, (0, 2), "conv")])
        tensor([[1],
                [4]])
    """
    for piece in slices:
        gone = set(piece.rows)
        live = [i for i in range(tensor.shape[piece.dim]) if i not in gone]
        tensor = tensor.index_select(piece.dim, torch.tensor(live, device=tensor.device))
    return tensor


def cut_tensors_(net: nn.Module, plan: ConstructionPlan) -> None:
    """Replace every sliced parameter and buffer of `net`."""
    for name in dict.fromkeys(piece.tensor for piece in plan.slices):
        path, _, attribute = name.rpartition(".")
        owner = net.get_submodule(path)
        tensor = getattr(owner, attribute)
        small = cut(tensor.detach(), [piece for piece in plan.slices if piece.tensor == name])
        if isinstance(tensor, nn.Parameter):
            small = nn.Parameter(small, requires_grad=tensor.requires_grad)
        setattr(owner, attribute, small)


def retype_(net: fx.GraphModule, trace: TraceGraph, plan: ConstructionPlan) -> None:
    """Set the new attributes of modules, and the new sizes among the arguments of calls, in place."""
    nodes = {node.name: node for node in net.graph.nodes}
    for vertex_id, attributes in plan.retyped.items():
        node, vertex = nodes[vertex_id], trace[vertex_id]
        if pieces := [int(size) for name, size in attributes.items() if name.startswith("piece:")]:
            _cut_apart(node, vertex, pieces)
        for attribute, value in attributes.items():
            kind, _, axis = attribute.partition(":")
            if kind == "size":
                _resize(node, vertex, int(axis), int(value))
            elif kind == "piece":
                continue
            elif kind == "scale":  # of attention, which may be a leaf module
                node.kwargs = {**node.kwargs, "scale": value}
            elif node.op != "call_module":
                _set_argument(node, attribute.removeprefix("slice_"), value)
            elif hasattr(module := net.get_submodule(str(node.target)), attribute):
                setattr(module, attribute, value)


def _set_argument(node: fx.Node, name: str, value: Any) -> None:
    """Give a call another argument, by its name in the schema of the operator."""
    schema = node.target._schema.arguments if isinstance(node.target, torch._ops.OpOverload) else ()
    names = [argument.name for argument in schema]
    if name not in names:
        raise ConstructionError(f"{node.name} calls {node.target}, which has no argument {name}")
    place = names.index(name)
    if schema[place].kwarg_only or name in node.kwargs:
        node.kwargs = {**node.kwargs, name: value}
        return
    defaults = [argument.default_value for argument in schema[len(node.args) : place]]
    node.args = (*node.args[:place], *defaults, value, *node.args[place + 1 :])


def _cut_apart(node: fx.Node, vertex: Vertex, lengths: list[int]) -> None:
    """Make a `chunk` or `split` return pieces of these lengths."""
    if node.kwargs.keys() - {"dim"}:
        raise ConstructionError(f"{node.name} takes {', '.join(node.kwargs)}; only dim is supported")
    node.target = torch.ops.aten.split_with_sizes.default
    node.args, node.kwargs = (node.args[0], lengths, vertex.attributes["dim"]), {}


def _resize(node: fx.Node, vertex: Vertex, axis: int, size: int) -> None:
    """Put `size` among the sizes that a `view`, `reshape` or `unflatten` has as its last argument."""
    *others, sizes = node.args
    if len(others) == 2:  # an `unflatten` lists the sizes of one axis
        axis -= others[1] % (len(vertex.shape) - len(sizes) + 1)  # type: ignore[operator, arg-type]
    if not isinstance(sizes, list | tuple) or not 0 <= axis < len(sizes):
        raise ConstructionError(f"{node.name} has the sizes {sizes}, so none for axis {axis}")
    node.args = (*others, [*sizes[:axis], size, *sizes[axis + 1 :]])
