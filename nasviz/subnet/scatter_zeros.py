"""Zeros written back for readers without a slicing rule: exact for every operator, without savings there.

A narrowed value is padded by one slice of zeros, or of each constant, and every missing index selects that
slice: two functional operators for any batch, shared by all readers.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx

from nasviz.graph import ConstructionPlan, Fill, TraceGraph
from nasviz.subnet.erase import return_node

__all__ = ["insert_fills_"]

aten = torch.ops.aten


def insert_fills_(net: fx.GraphModule, trace: TraceGraph, plan: ConstructionPlan) -> None:
    """Widen the input of every reader that a plan names, in place.

    Call this before joints are bypassed: a fill reads the joint, whichever node replaces it later.
    """
    nodes = {node.name: node for node in net.graph.nodes}
    outputs = {o.id for o in trace.outputs}
    device = next((tensor.device for tensor in net.parameters()), torch.device("cpu"))
    for fill in plan.fills:
        source = nodes[fill.source]
        widened = _widen(net, source, fill, len(trace.shapes[fill.source]), device)
        for reader in fill.readers:
            node = return_node(net) if reader in outputs else nodes[reader]
            node.replace_input_with(source, widened)


def _widen(net: fx.GraphModule, source: fx.Node, fill: Fill, rank: int, device: torch.device) -> fx.Node:
    name = _free_name(net, f"fill_{source.name}")
    net.register_buffer(name, _index(fill, device))
    padding = [0, 0] * (rank - 1 - fill.axis) + [0, 1]
    padded = source
    for value in dict.fromkeys(fill.values or (0.0,)):
        constant: tuple[Any, ...] = ("constant", value) if value else ()
        with net.graph.inserting_after(padded):
            padded = net.graph.call_function(aten.pad.default, (padded, padding, *constant))
        padded.meta = dict(source.meta)
    with net.graph.inserting_after(padded):
        index = net.graph.get_attr(name)
    with net.graph.inserting_after(index):
        widened = net.graph.call_function(aten.index_select.default, (padded, fill.axis, index))
    widened.meta = dict(source.meta)
    return widened


def _index(fill: Fill, device: torch.device) -> Tensor:
    """Return, for each index of the full axis, its index among the kept ones or that of its constant."""
    values = fill.values or (0.0,) * len(fill.rows)
    num_live = fill.size - len(fill.rows)
    behind = {value: num_live + place for place, value in enumerate(dict.fromkeys(values))}
    places = {row: behind[value] for row, value in zip(fill.rows, values, strict=True)}
    live = iter(range(num_live))
    return torch.tensor([places[i] if i in places else next(live) for i in range(fill.size)], device=device)


def _free_name(net: fx.GraphModule, name: str) -> str:
    while hasattr(net, name):
        name += "_"
    return name
