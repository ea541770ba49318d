"""Trace graph of an exported program: vertices, edges, shapes, literals, costs and behaviour at zero."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import prod
from typing import Any

import torch
from torch import Tensor, fx, nn

from nasviz.graph.operators.computed import silencers
from nasviz.graph.operators.rules import (
    BUFFER,
    INPUT,
    INPUTS,
    KEEPS,
    MEASURED,
    NOTHING,
    OTHER,
    PARAMETER,
    ZERO,
    Behaviour,
    Role,
    product_at_zero,
    sum_at_zero,
)
from nasviz.graph.operators.table import registered, rule
from nasviz.graph.trace_graph import Attribute, Input, Output, TraceGraph, Vertex
from nasviz.trace.export import (
    Program,
    arguments,
    fixed_size,
    input_dependent,
    is_in_place,
    is_tensor,
    nodes_in,
    operand_nodes,
    operator_name,
    output_nodes,
    reads_no_value,
    size_at,
    value_of,
)
from nasviz.trace.leaves import Position
from nasviz.trace.module_recovery import ModuleCall, Origin, RecoveredProgram
from nasviz.trace.network import TracedNetwork
from nasviz.trace.parity import leaf_paths

__all__ = [
    "ZeroRules",
    "attributes_of",
    "factor_attributes",
    "graph_of",
    "macs_of",
    "shape_at_batch_one",
    "shape_of",
]

_REDUCTIONS = ("mean", "sum", "amax", "amin", "prod", "var", "std", "linalg_vector_norm", "logsumexp")
_ON_ONE_AXIS = (
    "softmax log_softmax chunk split split_with_sizes unbind select slice unsqueeze stack cumsum glu "
    "index_select repeat_interleave"
).split()
_LITERALS = (
    "start end step index min max negative_slope lambd alpha beta p value exponent other scale input_scale "
    "threshold min_val max_val approximate rounding_mode mode equation"
).split()


def shape_of(node: fx.Node) -> tuple[int, ...]:
    """Return the shape of the value, with -1 for sizes that depend on the batch.

    Other free axes have the size of the example inputs. A list of tensors has the shape of its operand.
    """
    value = value_of(node)
    if not isinstance(value, Tensor):
        operand = next((n for n in node.all_input_nodes if isinstance(value_of(n), Tensor)), None)
        return shape_of(operand) if operand is not None else ()
    return tuple(size_at(size, -1) for size in value.shape)


def shape_at_batch_one(node: fx.Node) -> tuple[int, ...]:
    """Return the shape of the value for a batch of one."""
    value = value_of(node)
    return tuple(size_at(size, 1) for size in value.shape) if isinstance(value, Tensor) else ()


def attributes_of(node: fx.Node) -> dict[str, Attribute]:
    """Return the literals of a call by name, with axes counted from the front."""
    name, given = operator_name(node), arguments(node)
    operand = next((n for n in node.all_input_nodes if isinstance(value_of(n), Tensor)), None)
    ndim = len(shape_of(operand)) if operand is not None else 0
    if name.startswith("conv"):
        return _convolution(name, given)
    if name == "linear" or name == "addmm":
        return _linear(name, given)
    if name == "batch_norm":
        return {"num_features": shape_of(given["input"])[1]}
    if name in ("layer_norm", "rms_norm"):
        return {"normalized_shape": tuple(given["normalized_shape"])}
    if name == "group_norm":
        return {"num_groups": given["num_groups"]}
    if name == "prelu":
        return {"num_parameters": shape_of(given["weight"])[0]}
    if name == "embedding":
        rows, width = shape_of(given["weight"])
        return {"num_embeddings": rows, "embedding_dim": width}
    if name in ("add", "sub", "rsub"):
        return {"alpha": given.get("alpha", 1), **_literals(given, ("other",))}
    if name == "flatten":
        return {"start_dim": given["start_dim"] % ndim, "end_dim": given["end_dim"] % ndim}
    if name in ("view", "reshape", "squeeze", "unflatten"):
        return _merged(shape_of(operand), shape_of(node)) if operand is not None else {}
    if name == "permute":
        return {"dims": tuple(dim % ndim for dim in given["dims"])}
    if name in ("transpose", "swapaxes"):
        dims = [given["dim0"], given["dim1"]] if "dim0" in given else [given["axis0"], given["axis1"]]
        return {"dim0": dims[0] % ndim, "dim1": dims[1] % ndim}
    if name in _REDUCTIONS:
        return _reduction(given, ndim)
    if name == "cat":
        return {"dim": given["dim"] % ndim}
    found = _literals(given, (*_LITERALS, "keepdim", "split_size", "chunks", "groups"))
    if name in _ON_ONE_AXIS and isinstance(given.get("dim"), int):
        found["dim"] = given["dim"] % (ndim + (name in ("unsqueeze", "stack")))
    for key in ("split_sizes", "pad"):
        sizes = given.get(key)
        if isinstance(sizes, list | tuple) and all(isinstance(size, int) for size in sizes):
            found[key] = tuple(sizes)
    if name.startswith("repeat"):
        counts = given.get("repeats")
        found |= {"repeats": counts} if isinstance(counts, int) else {}
        if isinstance(counts, list | tuple) and all(isinstance(count, int) for count in counts):
            found["counts"] = tuple(counts)
    if name in ("roll", "flip"):
        found["dims"] = tuple(dim % ndim for dim in given["dims"])
    if name.startswith("avg_pool"):
        found["padding"] = _per_axis(given["padding"], int(name[-2]))
    if name == "getitem" and isinstance(given["index"], int):
        found["index"] = given["index"]
    return found


def factor_attributes(factor: fx.Node) -> dict[str, Attribute]:
    """Return the shape of a factor that is made of parameters alone, or its index in a softmax."""
    if factor.op == "get_attr":
        return {"factor_shape": shape_of(factor)}
    given = arguments(factor) if operator_name(factor) == "select" else {}
    weights, index = given.get("self"), given.get("index")
    if not (isinstance(weights, fx.Node) and operator_name(weights) == "softmax" and isinstance(index, int)):
        return {}
    logits = arguments(weights)["self"]
    is_flat = isinstance(logits, fx.Node) and logits.op == "get_attr" and len(shape_of(logits)) == 1
    return {"factor_shape": (), "relation": "softmax", "index": index} if is_flat else {}


def macs_of(node: fx.Node, weight: fx.Node | None) -> int:
    """Return the multiply-accumulates of a call for a batch of one; 0 where its rule counts none."""
    count = rule(operator_name(node)).macs
    if weight is None or count is None:
        return 0
    operand = next(n for n in node.all_input_nodes if isinstance(value_of(n), Tensor))
    return count(shape_at_batch_one(node), shape_at_batch_one(operand), shape_at_batch_one(weight))


def _convolution(name: str, given: Mapping[str, Any]) -> dict[str, Attribute]:
    weight, groups, is_transposed = shape_of(given["weight"]), given["groups"], "transpose" in name
    axes = len(weight) - 2
    ins, outs = (weight[0], weight[1] * groups) if is_transposed else (weight[1] * groups, weight[0])
    padding = given["padding"]
    return {
        "in_channels": ins,
        "out_channels": outs,
        "groups": groups,
        "kernel_size": weight[2:],
        "stride": _per_axis(given["stride"], axes),
        "padding": padding if isinstance(padding, str) else _per_axis(padding, axes),
        "dilation": _per_axis(given["dilation"], axes),
        "transposed": is_transposed,
    }


def _per_axis(value: Any, axes: int) -> tuple[int, ...]:
    numbers = list(value) if isinstance(value, list | tuple) else [value]
    return tuple(numbers * axes if len(numbers) == 1 else numbers)


def _linear(name: str, given: Mapping[str, Any]) -> dict[str, Attribute]:
    weight = shape_of(given["weight" if name == "linear" else "mat2"])
    outs, ins = weight if name == "linear" else weight[::-1]
    return {"in_features": ins, "out_features": outs}


def _reduction(given: Mapping[str, Any], ndim: int) -> dict[str, Attribute]:
    dims = given.get("dim")
    axes = [dims] if isinstance(dims, int) else list(dims or range(ndim))
    return {"dims": tuple(axis % ndim for axis in axes if ndim), "keepdim": bool(given.get("keepdim", False))}


def _merged(before: tuple[int, ...], after: tuple[int, ...]) -> dict[str, Attribute]:
    """Return `start_dim` and `end_dim` if a reshape only merges neighbouring axes, else nothing."""
    merged = len(before) - len(after)
    if merged < 0:
        return {}
    for start in range(len(after)):
        end = start + merged
        is_same = before[:start] == after[:start] and before[end + 1 :] == after[start + 1 :]
        if is_same and -1 not in before[start : end + 1] and prod(before[start : end + 1]) == after[start]:
            return {"start_dim": start, "end_dim": end}
    return {}


def _literals(given: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Attribute]:
    return {n: given[n] for n in names if isinstance(given.get(n), bool | int | float | str)}


class ZeroRules:
    """Behaviour at zero of the calls of one graph.

    Args:
        dependent: Nodes that depend on the input.
        is_zero_with_parameters: Tells whether a node that does not depend on the input is zero if all
            parameters are.
        is_zero_with_buffers: Tells whether such a node is zero if buffers are set to zero too.
    """

    def __init__(
        self,
        dependent: set[fx.Node],
        is_zero_with_parameters: Callable[[fx.Node], bool],
        is_zero_with_buffers: Callable[[fx.Node], bool] = lambda _: False,
    ) -> None:
        self.dependent = dependent
        self.is_zero_with_parameters = is_zero_with_parameters
        self.is_zero_with_buffers = is_zero_with_buffers

    def of(self, node: fx.Node) -> Behaviour:
        """Return the behaviour of one call."""
        given, formula = arguments(node), rule(operator_name(node)).zero
        if callable(formula):
            formula = formula(given)
        if formula is None:
            return NOTHING
        if formula == INPUTS:
            return KEEPS
        if formula == MEASURED:
            return KEEPS if _is_zero_at_zero(node) else NOTHING
        if "/" in formula:
            return self._quotient(*(given[name.strip()] for name in formula.split("/")))
        return sum_at_zero(self._term(term.split("*"), given) for term in formula.split("+"))

    def _term(self, names: list[str], given: Mapping[str, Any]) -> Behaviour | None:
        """Return when a product of arguments is zero; one left out is no factor, and alone no term."""
        operands = [_argument(name.strip(), given) for name in names]
        if len(operands) == 1 and operands[0] is None:
            return ZERO
        return product_at_zero(self._factor(operand) for operand in operands if operand is not None)

    def _factor(self, operand: Any) -> Behaviour | None:
        """Return when an operand is zero."""
        if not isinstance(operand, fx.Node):
            return ZERO if operand == 0 else OTHER
        if operand in self.dependent:
            value = value_of(operand)
            is_number = isinstance(value, Tensor) and not value.is_floating_point() and not value.is_complex()
            return OTHER if is_number and operand.op == "placeholder" else INPUT
        if self.is_zero_with_parameters(operand):
            return PARAMETER
        return BUFFER if self.is_zero_with_buffers(operand) else OTHER

    def _quotient(self, dividend: Any, divisor: Any) -> Behaviour:
        """Return when a quotient is zero: 0 / p is, but a divisor that may be zero too closes nothing."""
        first, second = self._factor(dividend), self._factor(divisor)
        if second is INPUT or second is ZERO or first is not INPUT:
            return NOTHING
        return Behaviour(keeps_zero=True, closes=second is OTHER)


def _argument(name: str, given: Mapping[str, Any]) -> Any:
    """Return an argument, a member of a list of arguments such as `tensors.0`, or the number 1."""
    if name == "1":
        return 1
    argument, _, place = name.partition(".")
    return given[argument][int(place)] if place else given.get(argument)


def _is_zero_at_zero(node: fx.Node) -> bool:
    """Evaluate a call of one operand, with its literals, at zero."""
    given = arguments(node)
    if "pad" in given:  # its widths fit one shape only
        return given["mode"] != "constant" or not given["value"]
    if sum(isinstance(value_of(operand), Tensor) for operand in nodes_in(given)) != 1:
        return False
    assert isinstance(node.target, torch._ops.OpOverload)
    args, kwargs = fx.map_arg((node.args, node.kwargs), lambda operand: torch.zeros(1))
    return not node.target(*args, **kwargs).any().item()


def graph_of(recovered: RecoveredProgram, network: TracedNetwork, ids: Mapping[fx.Node, str]) -> TraceGraph:
    """Return the trace graph whose vertices are the nodes of `network`.

    `ids` maps every node of the program to the name of its node in `network`.
    """
    program = recovered.program
    reader = _Reader(program, network, recovered.model, recovered.calls, ids)
    live = {node.name for node in network.graph.nodes}
    vertices = tuple(
        reader.vertex(node, recovered.names[node], recovered.origins[node])
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
        computed=reader.computed,
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

    def __init__(
        self,
        program: Program,
        network: TracedNetwork,
        model: nn.Module,
        calls: Mapping[fx.Node, ModuleCall],
        ids: Mapping[fx.Node, str],
    ) -> None:
        self.program = program
        self.calls = calls
        self.dependent = input_dependent(program.graph)
        self.parameter_names = {id(p): name for name, p in network.named_parameters()}
        self.buffer_names = {id(b): name for name, b in network.named_buffers()}
        self.ids = ids
        self.computed: dict[str, Vertex] = {}
        """Values computed from parameters and buffers alone, in order."""
        self.names: dict[fx.Node, str | None] = {}
        self.at_zero: dict[fx.Node, Any] = {}
        self.own_buffers = {name for name, b in model.named_buffers() if b.is_floating_point()}
        self.stored = TraceGraph(
            "", (), (), (), dict.fromkeys(self.parameter_names.values(), ()), {}, self.computed
        )
        self.rules = ZeroRules(
            self.dependent, self.is_zero_with_parameters, lambda node: bool(self._fading_buffers(node))
        )
        self.without_buffers = ZeroRules(self.dependent, self.is_zero_with_parameters)

    def vertex(self, node: fx.Node, name: str, origin: Origin) -> Vertex:
        """Return the vertex of one call."""
        ids = self.ids
        call = self.calls.get(node)
        behaviour = self.rules.of(node)
        operands = list(operand_nodes(node))
        parameters, buffers = self._tensors(node)
        weight = self._weight(node)
        tensors = self._arguments(node)
        attributes = attributes_of(node)
        computed = {a: value for a, operand in _named_arguments(node) if (value := self.value(operand))}
        for argument, operand in _named_arguments(node):
            if argument in computed and self.is_undefined_at_zero(operand):
                before = self.computed[computed[argument]]
                about = {**before.attributes, "undefined_at_zero": True}
                self.computed[computed[argument]] = replace(before, attributes=about)
        is_direct = all(
            operand in self.dependent
            or operand.op == "get_attr"
            or self.value(operand)
            or self._is_uniform(operand)
            for operand in operands
        )
        known = rule(operator_name(node))
        is_product = known.role is Role.MULTIPLICATIVE  # also as a module: attention with dropout
        if not is_direct and known.axes is not None and (call is None or is_product):
            attributes["computed"] = True
        if weight is not None and weight.op != "get_attr":
            attributes["computed_weight"] = True
            if self.is_undefined_at_zero(weight):
                attributes["undefined_at_zero"] = True
        factors = [operand for operand in operands if operand not in self.dependent]
        if operator_name(node) == "mul" and parameters and len(factors) == 1:
            attributes |= factor_attributes(factors[0])
        if behaviour.closes and not behaviour.keeps_zero and not self.without_buffers.of(node).closes:
            fading = (name for _, operand in _named_arguments(node) for name in self._fading_buffers(operand))
            attributes["silent_buffers"] = " ".join(dict.fromkeys(fading))
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
            computed=computed,
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
        return self._tensors_under(*(n for n in operand_nodes(node) if n not in self.dependent))

    def _tensors_under(self, *nodes: fx.Node) -> tuple[dict[str, None], dict[str, None]]:
        parameters: dict[str, None] = {}
        buffers: dict[str, None] = {}
        waiting = list(nodes)[::-1]
        while waiting:
            operand = waiting.pop()
            if reads_no_value(operand):
                continue
            if operand.op == "get_attr":
                key = id(self.program.tensors[str(operand.target)])
                if key in self.parameter_names:
                    parameters[self.parameter_names[key]] = None
                elif key in self.buffer_names:
                    buffers[self.buffer_names[key]] = None
            waiting += list(operand_nodes(operand))[::-1] if operand.op == "call_function" else []
        return parameters, buffers

    def _is_uniform(self, node: fx.Node) -> bool:
        """Return whether a value is made of sizes alone and has free axes only, such as an attention mask.

        No channel is cut along a free axis.
        """
        sizes = (
            [fixed_size(size) for size in value.shape] if isinstance(value := value_of(node), Tensor) else [0]
        )
        return all(size in (1, None) for size in sizes) and not any(self._tensors_under(node))

    def _arguments(self, node: fx.Node) -> dict[str, str]:
        """Return the arguments of a call that are parameters and buffers as they are."""
        return {a: name for a, operand in _named_arguments(node) if (name := self._stored(operand))}

    def _stored(self, operand: fx.Node) -> str | None:
        """Return the name of a parameter or buffer; `None` for any other operand."""
        if operand.op != "get_attr":
            return None
        key = id(self.program.tensors[str(operand.target)])
        return self.parameter_names.get(key, self.buffer_names.get(key))

    def value(self, node: fx.Node) -> str | None:
        """Return the name of a value computed from parameters and buffers alone; `None` for others."""
        if node not in self.names:
            self.names[node] = self._value(node)
        return self.names[node]

    def _value(self, node: fx.Node) -> str | None:
        if node.op != "call_function" or node in self.dependent or not is_tensor(node) or is_in_place(node):
            return None
        given = _named_arguments(node)
        names = {argument: self._stored(operand) or self.value(operand) for argument, operand in given}
        if not given or len(given) < len(nodes_in((node.args, node.kwargs))) or not all(names.values()):
            return None
        parameters, buffers = self._tensors(node)
        if not isinstance(value_of(node), Tensor | list | tuple) or -1 in shape_of(node):
            return None
        name = f"%{self.ids[node]}"
        self.computed[name] = Vertex(
            id=self.ids[node],
            name=self.ids[node],
            operator=operator_name(node),
            inputs=tuple(str(operand) for operand in names.values()),
            shape=shape_of(node),
            dtype=_dtype(node),
            parameters=tuple(parameters),
            buffers=tuple(buffers),
            tensors={argument: str(operand) for argument, operand in names.items()},
            attributes=attributes_of(node),
            keeps_zero=ZeroRules({operand for _, operand in given}, lambda _: False).of(node).keeps_zero,
        )
        return name

    def _fading_buffers(self, node: fx.Node) -> list[str]:
        """Return buffers with which a value is zero; none if it is zero without, or not even with them."""
        name = self._stored(node) or self.value(node)
        found = silencers(self.stored, name) if name else None
        buffers = sorted((found or frozenset()) - self.stored.parameter_shapes.keys())
        return buffers if self.own_buffers.issuperset(buffers) else []

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
            value = size_at(value_of(node), 1)
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


def _named_arguments(node: fx.Node) -> list[tuple[str, fx.Node]]:
    """Return the tensor operands of a call by argument; those of a list as `tensors.0` and so on."""
    given = arguments(node)
    listed = given.get("tensors")
    if isinstance(listed, list | tuple):
        given |= {f"tensors.{place}": operand for place, operand in enumerate(listed)}
    return [
        (a, operand) for a, operand in given.items() if isinstance(operand, fx.Node) and is_tensor(operand)
    ]


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
