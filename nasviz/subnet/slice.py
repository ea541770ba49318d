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
    """Set the new attributes of modules, and the new sizes among the literals of calls, in place."""
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
            elif kind == "scale":
                node.kwargs = {**node.kwargs, "scale": value}
            elif kind in ("slice_start", "slice_end"):
                place = 2 if kind == "slice_start" else 3
                given = (*node.args, *(0, 0, None, None)[len(node.args) :])
                node.args = (*given[:place], value, *given[place + 1 :])
            elif node.op != "call_module":
                raise ConstructionError(f"{vertex.name} is not a module, so it has no attribute {attribute}")
            elif hasattr(module := net.get_submodule(str(node.target)), attribute):
                setattr(module, attribute, value)


def _cut_apart(node: fx.Node, vertex: Vertex, lengths: list[int]) -> None:
    """Make a `chunk` or `split` return pieces of these lengths."""
    if node.kwargs.keys() - {"dim"}:
        raise ConstructionError(f"{node.name} takes {', '.join(node.kwargs)}; only dim is supported")
    node.target = torch.ops.aten.split_with_sizes.default
    node.args, node.kwargs = (node.args[0], lengths, vertex.attributes["dim"]), {}


def _resize(node: fx.Node, vertex: Vertex, axis: int, size: int) -> None:
    """Replace a size literal of a `view`, `reshape` or `unflatten`."""
    place: Any = 1
    if vertex.operator == "unflatten":
        place, dim = 2, node.args[1]
        axis -= dim % (len(vertex.shape) - len(node.args[2]) + 1)  # type: ignore[operator, arg-type]
    sizes: Any = node.args[place]
    if not 0 <= axis < len(sizes):
        raise ConstructionError(f"{node.name} has the sizes {sizes}, none of them for axis {axis}")
    node.args = (*node.args[:place], [*sizes[:axis], size, *sizes[axis + 1 :]], *node.args[place + 1 :])
