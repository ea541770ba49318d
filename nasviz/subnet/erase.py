"""Erase what a plan erases from a traced graph: operands of joints, joints left with one operand, outputs.

Nothing is deleted here; what nobody reads any more falls in `simplify`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import fx

from nasviz.errors import ConstructionError
from nasviz.graph import ConstructionPlan, TraceGraph, Vertex
from nasviz.trace.leaves import OutputForm

__all__ = ["drop_operands_", "drop_outputs_", "leaving_node"]

aten = torch.ops.aten


def drop_operands_(graph: fx.Graph, trace: TraceGraph, plan: ConstructionPlan) -> None:
    """Take the lost operands from every joint, in place, and bypass the joints that keep one."""
    nodes = {node.name: node for node in graph.nodes}
    for joint, positions in plan.dropped.items():
        node, vertex = nodes[joint], trace[joint]
        if vertex.operator == "cat":
            kept = _without(node, vertex, positions)
            if joint in plan.bypassed:
                node.replace_all_uses_with(kept[0])
            else:
                node.args = (kept, *node.args[1:])
        elif joint in plan.scaled:
            node.replace_all_uses_with(_scaled(graph, node, node.args[1 - positions[0]], plan.scaled[joint]))
        elif vertex.operator in ("add", "sub") and len(positions) == 1:
            node.replace_all_uses_with(_addend(graph, node, vertex.operator, kept=1 - positions[0]))
        else:
            raise ConstructionError(
                f"{vertex.name} ({vertex.operator}) loses its operands {positions}; there is no rule for that"
            )


def _without(node: fx.Node, vertex: Vertex, positions: tuple[int, ...]) -> list[Any]:
    """Operands of a concatenation without those at `positions`."""
    operands: Any = node.args[0]
    if len(operands) != len(vertex.inputs):
        raise ConstructionError(
            f"{vertex.name} concatenates {len(operands)} tensors, of which {len(vertex.inputs)} depend on the"
            " input; among constants there is no rule for losing one"
        )
    return [operand for i, operand in enumerate(operands) if i not in positions]


def _addend(graph: fx.Graph, node: fx.Node, operator: str, kept: int) -> Any:
    """What an addition or subtraction is without its other operand."""
    operand: Any = node.args[kept]
    alpha: Any = node.kwargs.get("alpha", node.args[2] if len(node.args) > 2 else 1)
    factor = 1 if kept == 0 else alpha if operator == "add" else -alpha
    if factor == 1:
        return operand
    return _scaled(graph, node, operand, factor)


def _scaled(graph: fx.Graph, node: fx.Node, operand: Any, factor: float) -> fx.Node:
    """`operand` times a number, computed where `node` stands."""
    with graph.inserting_before(node):
        if factor == -1:
            made = graph.call_function(aten.neg.default, (operand,))
        else:
            made = graph.call_function(aten.mul.Tensor, (operand, factor))
    made.meta = dict(node.meta)
    return made


def drop_outputs_(net: fx.GraphModule, trace: TraceGraph, plan: ConstructionPlan) -> None:
    """Put `None` in the place of optional outputs that are gone, in place."""
    lost = {o.source for o in trace.outputs if o.id in plan.lost_outputs}
    node = leaving_node(net)
    node.args = fx.map_arg(node.args, lambda operand: None if operand.name in lost else operand)


def leaving_node(net: fx.GraphModule) -> fx.Node:
    """The node at which values leave the network: its `OutputForm` where it has one, else the output."""
    output: fx.Node = net.graph.output_node()
    last: Any = output.args[0]
    is_module = isinstance(last, fx.Node) and last.op == "call_module"
    has_form = is_module and isinstance(net.get_submodule(last.target), OutputForm)
    return last if has_form else output
