"""Let go of the relations between switches: each gets a parameter of its own, worth what it was worth.

During a search switches share parameters: softmaxes, and cells of one type. What is derived from it goes and
stays operation by operation, so the factors become numbers of their own before a sub-network is constructed.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, fx

from nasviz.graph import SearchSpace, Vertex
from nasviz.graph.space import require_space
from nasviz.switches.inserting import Switched, assembled, copied
from nasviz.switches.values import switch_values
from nasviz.trace import TracedNetwork
from nasviz.trace.calls import eliminate_dead_code
from nasviz.trace.network import require_traced

__all__ = ["settle_switches"]


@torch.no_grad()
def settle_switches(net: TracedNetwork, space: SearchSpace) -> Switched:
    """The same network with plain switches of their own, at the values that they have now.

    Every structure can then go by itself, and a zero switch is read as one that went. The weights are shared
    with `net`; the switches are not.

    Raises:
        ConstructionError: `space` is of another network.
    """
    require_traced(net)
    require_space(space)
    values = switch_values(net, space.switches)
    graph = copied(net.graph)
    nodes = {node.name: node for node in graph.nodes}
    parameters: dict[str, Tensor] = {}
    vertices: dict[str, Vertex] = {}
    for switch, value in zip(space.switches, values, strict=True):
        name = f"{switch.parameter.partition('.')[0]}.{switch.vertex}"
        before = net.get_parameter(switch.parameter).detach()
        parameters[name] = (before if switch.index is None else value).clone()
        vertices[switch.vertex] = replace(
            space.trace[switch.vertex],
            parameters=(name,),
            attributes={"factor_shape": tuple(parameters[name].shape)},
            annihilates=True,
        )
        _read(graph, nodes[switch.vertex], name)
    eliminate_dead_code(graph)
    old = {switch.parameter for switch in space.switches}
    shapes = {name: shape for name, shape in space.trace.parameter_shapes.items() if name not in old}
    trace = replace(
        space.trace,
        vertices=tuple(vertices.get(v.id, v) for v in space.trace),
        parameter_shapes=shapes | {name: tuple(value.shape) for name, value in parameters.items()},
    )
    settled = space.on(trace)
    return Switched(assembled(net, graph, settled, parameters, dropped=old), settled)


def _read(graph: fx.Graph, node: fx.Node, name: str) -> None:
    """Let a multiplication read the parameter `name` instead of its factor."""
    with graph.inserting_before(node):
        factor = graph.create_node("get_attr", name, name=name.replace(".", "_"))
    node.args = (node.args[0], factor)
