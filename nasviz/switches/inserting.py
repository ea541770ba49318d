"""Insertion of switches into a traced network: one multiplication after each operation of the graph.

The papers write switches into their supernets by hand (alpha of DARTS, A of SparseNAS, ScaleLayer of
GSparsity). Here any traced network gets them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, fx, nn

from nasviz.errors import ConstructionError, InvalidSettingError
from nasviz.graph import SearchSpace, SwitchPlan, Vertex, plan_switches
from nasviz.graph.space import require_space
from nasviz.trace import TracedNetwork
from nasviz.trace.module_recovery import ORIGIN, Origin
from nasviz.trace.network import known_description, require_traced, set_inputs_

__all__ = ["Switched", "add_switches"]

aten = torch.ops.aten
NOISE = 1e-3
"""Standard deviation of the initial logits of a softmax if a generator is given (DARTS)."""


class Switched(NamedTuple):
    """A network with switches, and its search space; `space.switches` lists them."""

    network: TracedNetwork
    space: SearchSpace


def add_switches(
    net: TracedNetwork,
    space: SearchSpace,
    *,
    kind: str = "plain",
    over: str = "edge",
    where: str | Iterable[str] = "all",
    joints: Iterable[str] = ("add", "sub", "cat"),
    cells: Iterable[str] = (),
    per_channel: bool = False,
    initial: float | None = None,
    generator: torch.Generator | None = None,
) -> Switched:
    """Multiply the value of each operation by a parameter; identity and pooling edges become structures.

    The result shares all modules and parameters with `net`, which is not modified. With plain switches at 1
    its outputs are bitwise equal. Costs O(V + E) without a new trace.

    Args:
        net: Traced network.
        space: Its search space.
        kind: `plain`: the factor is the parameter. `softmax`: the factors of the candidates of one edge, or
            node, are the softmax of one parameter (DARTS).
        over: Candidates of one softmax: those of an `edge`, or all that enter a `node`.
        where: `all`; `structures`, operations with variables; `switchable`, those without (GSparsity); or
            names of operations, vertices or modules to insert switches after.
        joints: Operators of the joints whose operands get switches; `("add",)` excludes the concatenation of
            a cell's nodes.
        cells: Classes, or path patterns, of cells: operations at the same position in cells of one type
            share their parameter (DARTS, SparseNAS).
        per_channel: Use one number per channel instead of one for all.
        initial: Initial value of the parameters; by default 1 for `plain`, 0 for `softmax`.
        generator: Generator for the logits of a softmax, normally distributed around `initial`; by default
            they are equal.

    Raises:
        InvalidSettingError: A setting is invalid, or two settings exclude each other.
        UnknownVertexError: A name does not exist in the network.
        GraphError: No operation is left, or a value has no channel axis.
        ConstructionError: `space` belongs to another network.

    Examples:
        >>> import nasviz
        >>> class Block(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.conv = nn.Conv2d(2, 2, 3, padding=1)
        ...
        ...     def forward(self, x):
        ...         return x + self.conv(x)
        >>> net = nasviz.trace(nn.Sequential(nn.ReLU(), Block(), nn.ReLU()), torch.zeros(1, 2, 4, 4))
        >>> switched, space = add_switches(net, nasviz.search_space(net))
        >>> [switch.name for switch in space.switches]
        ['identity 0 → 1.add', '1.conv']
        >>> [len(s.parameter_names) for s in space.removable]
        [3, 1]
    """
    require_traced(net)
    require_space(space)
    if generator is not None and kind != "softmax":
        raise InvalidSettingError(f"generator is only used with kind='softmax', not {kind!r}; leave it out")
    plan = plan_switches(
        space, kind=kind, over=over, where=where, joints=joints, cells=cells, per_channel=per_channel
    )
    value = (1.0 if kind == "plain" else 0.0) if initial is None else initial
    like = next((p.detach() for p in net.parameters() if p.is_floating_point()), torch.empty(0))
    parameters = {name: like.new_full(shape, value) for name, shape in plan.parameters.items()}
    if generator is not None:
        for tensor in parameters.values():
            tensor += NOISE * torch.randn(tensor.shape, generator=generator).to(like)
    return Switched(apply_insertions(net, plan, parameters), plan.space)


def apply_insertions(net: TracedNetwork, plan: SwitchPlan, parameters: Mapping[str, Tensor]) -> TracedNetwork:
    """Return a network that shares everything with `net`, with the multiplications of `plan` in its graph."""
    graph = copy_graph(net.graph)
    nodes = {node.name: node for node in graph.nodes}
    order = {node: place for place, node in enumerate(graph.nodes)}
    factors: dict[tuple[str, str], fx.Node] = {}
    for insertion in plan.insertions:
        try:
            source = nodes[insertion.vertex.inputs[0]]
            readers = [nodes[r] if r in nodes else _leaving(graph, source) for r in insertion.readers]
        except KeyError as error:
            raise ConstructionError(
                f"{error} of the search space is missing in the network; pass the network that the search"
                " space was made from"
            ) from None
        first = min(readers, key=order.__getitem__)
        with graph.inserting_before(first):
            factor = _factor(graph, insertion.vertex, factors)
            made = graph.create_node(
                "call_function", aten.mul.Tensor, (source, factor), name=insertion.vertex.id
            )
        assert made.name == insertion.vertex.id
        made.meta[ORIGIN] = Origin(
            insertion.vertex.name, insertion.vertex.scope, is_whole=True, source=insertion.vertex.source
        )
        order[made] = order[first]
        for reader in readers:
            reader.replace_input_with(source, made)
    return build_network(net, graph, plan.space, parameters)


def copy_graph(graph: fx.Graph) -> fx.Graph:
    """Return a copy whose nodes have the same names."""
    made = fx.Graph()
    values: dict[fx.Node, fx.Node] = {}
    made.output(made.graph_copy(graph, values))
    made.output_node().meta = dict(graph.output_node().meta)
    set_inputs_(made, known_description(graph))
    assert all(node.name == values[node].name for node in values)
    return made


def build_network(
    net: TracedNetwork,
    graph: fx.Graph,
    space: SearchSpace,
    parameters: Mapping[str, Tensor],
    dropped: Collection[str] = (),
) -> TracedNetwork:
    """Return the network that runs `graph` on `net`, with new and without `dropped` parameters."""
    made = TracedNetwork.of(net, graph, type(net).__name__)
    for scope in {name.partition(".")[0] for name in (*parameters, *dropped)}:
        switches = nn.Module()  # the module of `net` is not modified
        for key, parameter in getattr(net, scope, switches)._parameters.items():
            if f"{scope}.{key}" not in dropped:
                switches.register_parameter(key, parameter)
        made.add_module(scope, switches)
    for name, value in parameters.items():
        scope, _, key = name.partition(".")
        made.get_submodule(scope).register_parameter(key, nn.Parameter(value))
    made.training = net.training
    made.graph.lint()
    made.trace_graph, made.parity = space.trace, net.parity
    return made


def _leaving(graph: fx.Graph, source: fx.Node) -> fx.Node:
    """Return the node through which a value leaves the network."""
    return next(reader for reader in reversed(source.users) if reader.op in ("output", "call_module"))


def _factor(graph: fx.Graph, vertex: Vertex, made: dict[tuple[str, str], fx.Node]) -> fx.Node:
    """Return the factor of a switch, created before its first use."""
    (name,) = vertex.parameters
    if (name, "value") not in made:
        node = graph.create_node("get_attr", name, name=name.replace(".", "_"))
        made[name, "value"] = node
        if vertex.attributes.get("relation") == "softmax":
            made[name, "softmax"] = graph.call_function(aten.softmax.int, (node, 0))
    if vertex.attributes.get("relation") != "softmax":
        return made[name, "value"]
    return graph.call_function(aten.select.int, (made[name, "softmax"], 0, vertex.attributes["index"]))
