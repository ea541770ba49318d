"""Inline the regions that `torch.export` keeps as sub-graphs: `torch.no_grad()` and `torch.autocast`."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import Tensor, fx

__all__ = ["inline_regions"]


def inline_regions(module: fx.GraphModule) -> None:
    """Replace every region of `module` by its body, in place.

    Results of a region without gradient are detached, so that training is unchanged.
    """
    graph = module.graph
    for node in list(graph.nodes):
        if node.op == "call_function" and isinstance(node.target, torch._ops.HigherOrderOperator):
            _inline(module, node)


def _inline(module: fx.GraphModule, region: fx.Node) -> None:
    graph = module.graph
    position, body_node = next(
        (i, a) for i, a in enumerate(region.args) if isinstance(a, fx.Node) and a.op == "get_attr"
    )
    body = module.get_submodule(str(body_node.target))
    assert isinstance(body, fx.GraphModule)
    inline_regions(body)
    outer: dict[fx.Node, Any] = dict(
        zip(body.graph.find_nodes(op="placeholder"), region.args[position + 1 :], strict=True)
    )
    with graph.inserting_before(region):
        for node in body.graph.nodes:
            if node.op == "get_attr":
                raise NotImplementedError(f"tensor {node.target!r} inside a region of {region.target}")
            if node.op == "call_function":
                outer[node] = graph.node_copy(node, outer.__getitem__)
    results: Any = fx.map_arg(body.graph.output_node().args[0], outer.__getitem__)
    if "set_grad_enabled" in str(region.target) and region.args[0] is False:
        results = tuple(_detached(graph, region, result) for result in results)
    if isinstance(results, fx.Node):
        region.replace_all_uses_with(results)
    for user in list(region.users):
        assert user.target is operator.getitem
        user.replace_all_uses_with(results[user.args[1]])
        graph.erase_node(user)
    graph.erase_node(region)
    if not body_node.users:
        graph.erase_node(body_node)


def _detached(graph: fx.Graph, region: fx.Node, result: Any) -> Any:
    if not isinstance(result, fx.Node) or not isinstance(result.meta.get("val"), Tensor):
        return result
    if not result.meta["val"].is_floating_point():
        return result
    with graph.inserting_before(region):
        node = graph.call_function(torch.ops.aten.detach.default, (result,))
    node.meta = dict(result.meta)
    return node
