"""Erasure of a plan's vertices from a traced graph: operands of joints, single-operand joints, outputs.

Nodes are only disconnected here; `simplify` deletes unused ones.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import fx

from nasviz.errors import ConstructionError
from nasviz.graph import ConstructionPlan, TraceGraph, Vertex
from nasviz.graph.operators.rules import Role
from nasviz.trace.leaves import OutputForm

__all__ = ["drop_operands_", "drop_outputs_", "return_node"]

aten = torch.ops.aten


def drop_operands_(graph: fx.Graph, trace: TraceGraph, plan: ConstructionPlan) -> None:
    """Remove the lost operands of every joint, in place, and bypass joints that keep only one."""
    nodes = {node.name: node for node in graph.nodes}
    for joint, positions in plan.dropped.items():
        node, vertex = nodes[joint], trace[joint]
        if vertex.role is Role.CONCATENATING:
            kept = _without(node, vertex, positions)
            if joint in plan.bypassed:
                node.replace_all_uses_with(kept[0])
            else:
                node.args = (kept, *node.args[1:])
        elif joint in plan.scaled:
            node.replace_all_uses_with(_scaled(graph, node, node.args[1 - positions[0]], plan.scaled[joint]))
        elif vertex.role is Role.ADDITIVE and len(positions) == 1 and vertex.rule.combine:
            # What the sum makes of a one in place of the other operand: its sign and its `alpha`.
            place = 1 - positions[0]
            factor = vertex.rule.combine([int(place == 0), int(place == 1)], {"alpha": _alpha(node)})
            operand = node.args[place]
            node.replace_all_uses_with(operand if factor == 1 else _scaled(graph, node, operand, factor))
        else:
            raise ConstructionError(
                f"{vertex.name} ({vertex.operator}) loses its operands {positions}: no rule for that"
            )


def _without(node: fx.Node, vertex: Vertex, positions: tuple[int, ...]) -> list[Any]:
    """Return the operands of a concatenation without those at `positions`."""
    operands: Any = node.args[0]
    if len(operands) != len(vertex.inputs):
        raise ConstructionError(
            f"{vertex.name} concatenates {len(operands)} tensors, of which {len(vertex.inputs)} depend on the"
            " input; removing one of them next to constants is not supported"
        )
    return [operand for i, operand in enumerate(operands) if i not in positions]


def _alpha(node: fx.Node) -> Any:
    return node.kwargs.get("alpha", node.args[2] if len(node.args) > 2 else 1)


def _scaled(graph: fx.Graph, node: fx.Node, operand: Any, factor: float) -> fx.Node:
    """Return `operand` times a number, computed before `node`."""
    with graph.inserting_before(node):
        if factor == -1:
            made = graph.call_function(aten.neg.default, (operand,))
        else:
            made = graph.call_function(aten.mul.Tensor, (operand, factor))
    made.meta = dict(node.meta)
    return made


def drop_outputs_(net: fx.GraphModule, trace: TraceGraph, plan: ConstructionPlan) -> None:
    """Replace erased optional outputs by `None`, in place."""
    lost = {o.source for o in trace.outputs if o.id in plan.lost_outputs}
    node = return_node(net)
    node.args = fx.map_arg(node.args, lambda operand: None if operand.name in lost else operand)


def return_node(net: fx.GraphModule) -> fx.Node:
    """Return the node that collects the results: the `OutputForm` if there is one, else the output."""
    output: fx.Node = net.graph.output_node()
    last: Any = output.args[0]
    is_module = isinstance(last, fx.Node) and last.op == "call_module"
    has_form = is_module and isinstance(net.get_submodule(last.target), OutputForm)
    return last if has_form else output
