"""Independent switches: each shared or normalized switch gets its own parameter with its current value.

During a search, switches share parameters through softmaxes and cells of one type. Derivation removes single
operations, so the factors become independent numbers before a sub-network is constructed.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, fx

from nasviz.graph import SearchSpace, Vertex
from nasviz.graph.space import require_space
from nasviz.switches.inserting import Switched, build_network, copy_graph
from nasviz.switches.values import switch_values
from nasviz.trace import TracedNetwork
from nasviz.trace.export import eliminate_dead_code
from nasviz.trace.network import require_traced

__all__ = ["settle_switches"]


@torch.no_grad()
def settle_switches(net: TracedNetwork, space: SearchSpace) -> Switched:
    """Return the network with an independent plain switch for each operation, at its current value.

    Every structure can then be removed by itself, and a zero switch marks a removed one. The weights are
    shared with `net`; the switches are not.

    Raises:
        ConstructionError: `space` belongs to another network.
    """
    require_traced(net)
    require_space(space)
    values = switch_values(net, space.switches)
    graph = copy_graph(net.graph)
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
            tensors={"other": name},
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
    return Switched(build_network(net, graph, settled, parameters, dropped=old), settled)


def _read(graph: fx.Graph, node: fx.Node, name: str) -> None:
    """Make a multiplication read the parameter `name` instead of its factor."""
    with graph.inserting_before(node):
        factor = graph.create_node("get_attr", name, name=name.replace(".", "_"))
    node.args = (node.args[0], factor)
