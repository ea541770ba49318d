"""Clean-up of a graph: delete unused nodes, modules and tensors."""

from __future__ import annotations

import torch
from torch import fx

__all__ = ["allow_any_layout_", "delete_dead_code_", "without_unused_modules"]

aten = torch.ops.aten


def allow_any_layout_(graph: fx.Graph) -> None:
    """Turn every `view` into a `reshape`, in place.

    A joint returns a contiguous tensor, but the operand that replaces it may be a non-contiguous slice, on
    which `view` fails.
    """
    for node in graph.find_nodes(op="call_function", target=aten.view.default):
        node.target = aten.reshape.default


def delete_dead_code_(graph: fx.Graph) -> None:
    """Delete every node that no output needs, in place; the network keeps all its arguments.

    Unused random operators (dropout, attention), which torch.fx treats as impure, are deleted too.
    """
    graph.eliminate_dead_code(is_impure_node=lambda node: node.op in ("placeholder", "output"))


def without_unused_modules(net: fx.GraphModule) -> fx.GraphModule:
    """Return a network of the same graph with only the modules and tensors that the graph reads."""
    made = fx.GraphModule(net, net.graph, class_name=type(net).__name__)
    modes = {path: module.training for path, module in net.named_modules(remove_duplicate=False)}
    for path, module in made.named_modules(remove_duplicate=False):
        module.training = modes[path]
    made.graph.lint()
    return made
