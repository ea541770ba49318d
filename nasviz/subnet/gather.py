"""Pick channels in a new order, where a chain of reshapes and transposes only said which comes where."""

from __future__ import annotations

import torch
from torch import fx

from nasviz.graph import ConstructionPlan

__all__ = ["insert_gathers_"]


def insert_gathers_(net: fx.GraphModule, plan: ConstructionPlan) -> None:
    """Let every value that a plan picks from an earlier one be read from there, in place.

    Nodes keep their names. What stood in between falls as dead code, unless somebody else reads it. To be
    done before joints are bypassed: a gather reads the joint, whoever stands for it later.
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
