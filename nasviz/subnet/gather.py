"""Selection of permuted channels, where reshapes and transposes only reorder channels."""

from __future__ import annotations

import torch
from torch import fx

from nasviz.graph import ConstructionPlan

__all__ = ["insert_gathers_"]


def insert_gathers_(net: fx.GraphModule, plan: ConstructionPlan) -> None:
    """Read every value that a plan gathers directly from its earlier source, in place.

    Nodes keep their names. Nodes in between become dead code unless they have other readers. Call this before
    joints are bypassed: a gather reads the joint, whichever node replaces it later.
    """
    nodes = {node.name: node for node in net.graph.nodes}
    device = next((tensor.device for tensor in net.parameters()), torch.device("cpu"))
    for gather in plan.gathers:
        node, name = nodes[gather.vertex], f"gather_{gather.vertex}"
        while hasattr(net, name):
            name += "_"
        net.register_buffer(name, torch.tensor(gather.index, device=device))
        with net.graph.inserting_before(node):
            index = net.graph.get_attr(name)
        node.op, node.target = "call_function", torch.ops.aten.index_select.default
        node.args, node.kwargs = (nodes[gather.source], gather.axis, index), {}
