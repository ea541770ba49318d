"""Trace graph of an exported program: vertices, edges, shapes, costs and behaviour at zero."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, fx

from nasviz.graph.operators.registration import registered
from nasviz.graph.operators.table import rule
from nasviz.graph.trace_graph import Input, Output, TraceGraph, Vertex
from nasviz.trace.attributes import (
    attributes_of,
    factor_attributes,
    macs_of,
    shape_at_batch_one,
    shape_of,
)
from nasviz.trace.calls import (
    arguments,
    input_dependent,
    is_in_place,
    operand_nodes,
    operator_name,
    output_nodes,
    value_of,
)
from nasviz.trace.export import Program
from nasviz.trace.leaves import Position
from nasviz.trace.module_recovery import ModuleCall, RecoveredProgram
from nasviz.trace.network import TracedNetwork
from nasviz.trace.objects import leaf_paths
from nasviz.trace.origin import Origin
from nasviz.trace.zero import ZeroRules

__all__ = ["graph_of"]


def graph_of(recovered: RecoveredProgram, network: TracedNetwork, ids: Mapping[fx.Node, str]) -> TraceGraph:
    """Return the trace graph whose vertices are the nodes of `network`.

    `ids` maps every node of the program to the name of its node in `network`.
    """
    program = recovered.program
    reader = _Reader(program, network, recovered.calls)
    live = {node.name for node in network.graph.nodes}
    vertices = tuple(
        reader.vertex(node, ids, recovered.names[node], recovered.origins[node])
        for node in program.graph.nodes
        if node.op == "call_function" and node in reader.dependent and ids[node] in live
    )
    inputs = tuple(
        Input(ids[node], shape_of(node), _dtype(node))
        for node in program.graph.nodes
        if node.op == "placeholder" and isinstance(value_of(node), Tensor)
    )
    last = [node for node in output_nodes(program.graph) if node in reader.dependent]
    places = _places(program)
    outputs = tuple(
        Output(_output_id(i, len(last), ids), ids[node], name=places.get(node, ""))
        for i, node in enumerate(last)
    )
    graph = TraceGraph(
        name=type(recovered.model).__name__,
        inputs=inputs,
        vertices=vertices,
        outputs=outputs,
        parameter_shapes={name: tuple(p.shape) for name, p in network.named_parameters()},
        buffer_shapes={name: tuple(b.shape) for name, b in network.named_buffers()},
        modules=_modules(recovered),
    )
    graph.lint()
    return graph


def _modules(recovered: RecoveredProgram) -> dict[str, str]:
    """Return the class of every module by path; for a traced network, as recorded by its first trace."""
    modules = {path: type(module).__name__ for path, module in recovered.model.named_modules() if path}
    if isinstance(recovered.model, TracedNetwork):
        modules = dict(recovered.model.trace_graph.modules)
    return modules | {call.path: type(call.module).__name__ for call in recovered.calls.values()}


class _Reader:
    """Conversion of the nodes of one program to vertices."""

    def __init__(self, program: Program, network: TracedNetwork, calls: Mapping[fx.Node, ModuleCall]) -> None:
        self.program = program
        self.calls = calls
        self.dependent = input_dependent(program.graph)
        self.parameter_names = {id(p): name for name, p in network.named_parameters()}
        self.buffer_names = {id(b): name for name, b in network.named_buffers()}
        self.at_zero: dict[fx.Node, Any] = {}
        self.rules = ZeroRules(self.dependent, self.is_zero_with_parameters)

    def vertex(self, node: fx.Node, ids: Mapping[fx.Node, str], name: str, origin: Origin) -> Vertex:
        """Return the vertex of one call."""
        call = self.calls.get(node)
        behaviour = self.rules.of(node)
        operands = list(operand_nodes(node))
        parameters, buffers = self._tensors(node)
        weight = self._weight(node)
        tensors = self._arguments(node)
        attributes = attributes_of(node)
        is_direct = all(operand in self.dependent or operand.op == "get_attr" for operand in operands)
        if call is None and not is_direct and rule(operator_name(node)).axes is not None:
            attributes["computed"] = True
        if weight is not None and weight.op != "get_attr":
            attributes["computed_weight"] = True
            if self.is_undefined_at_zero(weight):
                attributes["undefined_at_zero"] = True
        factors = [operand for operand in operands if operand not in self.dependent]
        if operator_name(node) == "mul" and parameters and len(factors) == 1:
            attributes |= factor_attributes(factors[0])
        if call is not None:
            buffers |= {self.buffer_names[id(b)]: None for b in call.module.buffers(recurse=False)}
        return Vertex(
            id=ids[node],
            name=name,
            operator=operator_name(node),
            inputs=tuple(ids[operand] for operand in operands if operand in self.dependent),
            shape=shape_of(node),
            dtype=_dtype(node),
            type_name=type(call.module).__name__ if call else operator_name(node),
            module=call.path if call else "",
            scope=origin.scope,
            parameters=tuple(parameters),
            buffers=tuple(buffers),
            tensors=tensors,
            declaration=own.declaration if (own := registered(operator_name(node))) else "",
            attributes=attributes,
            keeps_zero=behaviour.keeps_zero,
            annihilates=behaviour.annihilates,
            closes=behaviour.closes,
            macs=macs_of(node, weight),
            source=origin.source,
        )

    def _tensors(self, node: fx.Node) -> tuple[dict[str, None], dict[str, None]]:
        """Return the parameters and buffers that a call reads, directly or through computed weights."""
        parameters: dict[str, None] = {}
        buffers: dict[str, None] = {}
        waiting = [n for n in operand_nodes(node) if n not in self.dependent][::-1]
        while waiting:
            operand = waiting.pop()
            if operand.op == "get_attr":
                key = id(self.program.tensors[str(operand.target)])
                if key in self.parameter_names:
                    parameters[self.parameter_names[key]] = None
                elif key in self.buffer_names:
                    buffers[self.buffer_names[key]] = None
            waiting += list(operand_nodes(operand))[::-1] if operand.op == "call_function" else []
        return parameters, buffers

    def _arguments(self, node: fx.Node) -> dict[str, str]:
        """Return the arguments of a call that are parameters and buffers as they are."""
        found = {}
        for argument, operand in arguments(node).items():
            if isinstance(operand, fx.Node) and operand.op == "get_attr":
                key = id(self.program.tensors[str(operand.target)])
                if (name := self.parameter_names.get(key, self.buffer_names.get(key))) is not None:
                    found[argument] = name
        return found

    def _weight(self, node: fx.Node) -> fx.Node | None:
        """Return the operand that weighs the input of a call, where it is made of parameters."""
        argument = rule(operator_name(node)).weight
        weight = arguments(node).get(argument)
        if not isinstance(weight, fx.Node) or weight in self.dependent:
            return None
        return weight if argument == "weight" or self._tensors(node)[0] else None

    def is_zero_with_parameters(self, node: fx.Node) -> bool:
        """Return whether a value that depends on parameters alone is zero if they are, by evaluation."""
        try:
            value = self._value_at_zero(node)
        except (RuntimeError, TypeError, KeyError):
            return False  # an operator that cannot run outside its network
        return isinstance(value, Tensor) and not value.isnan().any() and not value.any()

    def is_undefined_at_zero(self, node: fx.Node) -> bool:
        """Return whether a value that depends on parameters alone is not finite (0 / 0) if they are zero."""
        try:
            value = self._value_at_zero(node)
        except (RuntimeError, TypeError, KeyError):
            return False
        return isinstance(value, Tensor) and value.is_floating_point() and not bool(value.isfinite().all())

    def _value_at_zero(self, node: fx.Node) -> Any:
        if node in self.at_zero:
            return self.at_zero[node]
        value: Any
        if node.op == "get_attr":
            tensor = self.program.tensors[str(node.target)]
            value = torch.zeros_like(tensor) if id(tensor) in self.parameter_names else tensor
        elif isinstance(value_of(node), torch.SymInt):
            value = 1
        elif node.op == "placeholder":
            value = torch.zeros(shape_at_batch_one(node))
        elif is_in_place(node):
            raise TypeError(f"{node} writes to the module")
        else:
            args, kwargs = fx.map_arg((node.args, node.kwargs), self._value_at_zero)
            with torch.no_grad():
                value = _function(node)(*args, **kwargs)
        self.at_zero[node] = value
        return value


def _places(program: Program) -> dict[fx.Node, str]:
    """Return the path of each value in the output of the user's network."""
    values = output_nodes(program.graph)
    return {
        values[leaf.index]: ".".join(step.name for step in path)
        for path, leaf in leaf_paths(program.form)
        if isinstance(leaf, Position)
    }


def _function(node: fx.Node) -> Callable[..., Any]:
    assert callable(node.target)
    return node.target


def _dtype(node: fx.Node) -> str:
    value = value_of(node)
    if isinstance(value, list | tuple):
        value = next((item for item in value if isinstance(item, Tensor)), None)
    return str(value.dtype).removeprefix("torch.") if isinstance(value, Tensor) else ""


def _output_id(index: int, count: int, ids: Mapping[fx.Node, str]) -> str:
    name = "output" if count == 1 else f"output_{index}"
    while name in ids.values():
        name += "_"
    return name
