"""Traced network: one `fx.GraphModule` on the user's own modules, which is trained, drawn and sliced."""

from __future__ import annotations

import copy
import operator
import re
from collections.abc import Mapping
from typing import Any

from torch import fx, nn

from nasviz.errors import TraceError, require_type
from nasviz.graph.trace_graph import TraceGraph
from nasviz.trace.calls import eliminate_dead_code, nodes_in, output_nodes
from nasviz.trace.export import Program
from nasviz.trace.leaves import OutputForm
from nasviz.trace.module_recovery import ModuleCall, RecoveredProgram
from nasviz.trace.objects import leaf_paths
from nasviz.trace.origin import ORIGIN
from nasviz.trace.parity import Parity

__all__ = ["TracedNetwork", "assemble", "copy_module_tree", "require_traced"]


class TracedNetwork(fx.GraphModule):
    """A network as one graph of operators; it trains, copies and saves like the network it was traced from.

    Its modules and parameters are those of the user's network, under the same names. `graph` is the graph of
    torch.fx, and the name of a node is the id of its vertex in `trace_graph`.
    """

    trace_graph: TraceGraph
    """Vertices and edges as data."""
    parity: Parity
    """Agreement with the network it was traced from."""

    @classmethod
    def of(cls, root: nn.Module, graph: fx.Graph, name: str) -> TracedNetwork:
        """Return the network that runs `graph` on the modules and tensors of `root`, which it takes over.

        Raises:
            TraceError: A module or tensor at the top of `root` has a name that `torch.fx` reserves.
        """
        network = cls(nn.Module(), fx.Graph(), name)
        for key in [*root._parameters, *root._buffers, *root._modules]:
            if hasattr(network, key):
                raise TraceError(
                    f"{name}.{key} cannot be traced: torch.fx reserves the name {key!r}; rename it"
                )
        _copy_tensors(root, network)
        for key, module in root._modules.items():
            network.add_module(key, module)
        network.graph = graph
        return network

    def __deepcopy__(self, memo: dict[int, Any]) -> TracedNetwork:
        """Return a copy with its own parameters, the same trace graph and the same parity."""
        for key in ("trace_graph", "parity"):
            if key in vars(self):  # immutable data: shared instead of copied
                memo[id(vars(self)[key])] = vars(self)[key]
        result = super().__deepcopy__(memo)
        assert isinstance(result, TracedNetwork)
        for key, parameter in self._parameters.items():
            if key not in result._parameters:  # second name of a tied parameter
                result.register_parameter(key, copy.deepcopy(parameter, memo))
        result._non_persistent_buffers_set = set(self._non_persistent_buffers_set)  # torch 2.11 forgets
        result.__class__.__name__ = type(self).__name__
        for key in ("trace_graph", "parity"):
            if key in vars(self):
                setattr(result, key, vars(self)[key])
        return result


def require_traced(net: Any) -> None:
    """Reject anything but a traced network or a network made from one.

    Raises:
        ArgumentError: `net` is something else.
    """
    remedy = "trace the model first: net = nasviz.trace(model, example_inputs)"
    require_type("net", net, fx.GraphModule, "a traced network", remedy)


def assemble(recovered: RecoveredProgram, *, plain: bool) -> tuple[TracedNetwork, dict[fx.Node, str]]:
    """Return the network that runs a program, and the name of the node that each program node became.

    With `plain` it returns one tensor in both modes, and needs no `OutputForm`.
    """
    program, model, calls = recovered.program, recovered.model, recovered.calls
    graph = fx.Graph()
    made = _placeholders(program, graph)
    for node in program.graph.nodes:
        call = calls.get(node)
        operands = nodes_in((call.args, dict(call.kwargs)) if call else (node.args, node.kwargs))
        for operand in operands:  # read tensors where they are first used, whatever the export order
            if operand.op == "get_attr" and operand not in made:
                name = str(operand.target)
                made[operand] = graph.create_node("get_attr", name, name=_identifier(name))
        if node.op == "call_function":
            made[node] = _make_call(graph, node, call, recovered.names[node], made)
            made[node].meta[ORIGIN] = recovered.origins[node]
    root = copy_module_tree(model, {call.path: call.module for call in calls.values()})
    _add_leaves(root, calls)
    read = {str(node.target) for node in program.graph.find_nodes(op="get_attr")}
    for name in sorted(program.constants & read):
        root.register_buffer(name, program.tensors[name], persistent=False)

    outputs = tuple(made[node] for node in output_nodes(program.graph))
    if plain:
        graph.output(outputs[0])
    else:
        path = "output_form"
        while hasattr(root, path):
            path += "_"
        root.add_module(path, OutputForm(program.form, program.form))
        graph.output(graph.create_node("call_module", path, outputs, name=path))
    eliminate_dead_code(graph)
    network = TracedNetwork.of(root, graph, type(model).__name__)
    return network, {node: new.name for node, new in made.items()}


def _placeholders(program: Program, graph: fx.Graph) -> dict[fx.Node, fx.Node]:
    """Create the arguments of the user's `forward`, and unpack nested ones."""
    made: dict[fx.Node, fx.Node] = {}
    for name, value in program.arguments.items():
        argument = graph.placeholder(name)
        for path, leaf in leaf_paths(value):
            node = argument
            for step in path:
                take = getattr if step.is_attribute else operator.getitem
                node = graph.call_function(take, (node, step.key))
            made[leaf] = node
    return made


def _make_call(
    graph: fx.Graph, node: fx.Node, call: ModuleCall | None, name: str, made: Mapping[fx.Node, fx.Node]
) -> fx.Node:
    if call is None:
        args, kwargs = fx.map_arg((node.args, node.kwargs), made.__getitem__)
        return graph.create_node("call_function", node.target, args, kwargs, name=_identifier(name))
    args, kwargs = fx.map_arg((call.args, dict(call.kwargs)), made.__getitem__)
    return graph.create_node("call_module", call.path, args, kwargs, name=_identifier(name))


def _identifier(name: str) -> str:
    """Return `name` as torch.fx names nodes."""
    text = re.sub(r"\W", "_", name)
    return f"_{text}" if text[:1].isdigit() else text


def copy_module_tree(module: nn.Module, leaves: Mapping[str, nn.Module], prefix: str = "") -> nn.Module:
    """Return a copy of the module tree with `leaves` in place, plain scopes around them, and all tensors."""
    scope = nn.Module()
    _copy_tensors(module, scope)
    for key, child in module._modules.items():
        path = f"{prefix}{key}"
        if child is None:
            continue
        grown = leaves[path] if path in leaves else copy_module_tree(child, leaves, f"{path}.")
        if path in leaves or grown._modules or grown._parameters or grown._buffers:
            scope.add_module(key, grown)
    scope.training = module.training
    return scope


def _copy_tensors(source: nn.Module, target: nn.Module) -> None:
    for key, parameter in source._parameters.items():
        target.register_parameter(key, parameter)
    for key, buffer in source._buffers.items():
        target.register_buffer(key, buffer, persistent=key not in source._non_persistent_buffers_set)


def _add_leaves(root: nn.Module, calls: Mapping[fx.Node, ModuleCall]) -> None:
    """Add leaves that the user's network does not have to the tree."""
    for call in calls.values():
        *scopes, key = call.path.split(".")
        module = root
        for scope in scopes:
            if scope not in module._modules:
                module.add_module(scope, nn.Module())
            module = module.get_submodule(scope)
        if key not in module._modules:
            module.add_module(key, call.module)
