"""Last tracing strategy: `torch.fx`, with some modules kept whole.

Modules of torch.nn, stochastic depth, and modules that `torch.fx` cannot trace into, such as those with
value-dependent control flow, stay whole. The remaining code is traced in evaluation mode. Unless its name
determines it, a call is an unknown operator, which construction feeds with materialized zeros.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, fx, nn

from nasviz.errors import TraceError
from nasviz.graph.operators.rules import INPUTS, factors_of
from nasviz.graph.operators.table import rule
from nasviz.graph.trace_graph import JOINT_ROLES, Attribute, Input, Output, TraceGraph, Vertex
from nasviz.trace.export import OPAQUE, nodes_in
from nasviz.trace.network import TracedNetwork, copy_module_tree
from nasviz.trace.parity import ParityInputs

__all__ = ["Value", "graph_of_fx", "trace_symbolically"]

_MODULES: dict[type[nn.Module], str] = {
    nn.Conv1d: "conv1d",
    nn.Conv2d: "conv2d",
    nn.Conv3d: "conv3d",
    nn.Linear: "linear",
    nn.BatchNorm1d: "batch_norm",
    nn.BatchNorm2d: "batch_norm",
    nn.BatchNorm3d: "batch_norm",
    nn.ReLU: "relu",
    nn.GELU: "gelu",
    nn.SiLU: "silu",
    nn.Hardswish: "hardswish",
    nn.Sigmoid: "sigmoid",
    nn.Hardsigmoid: "hardsigmoid",
    nn.Tanh: "tanh",
    nn.MaxPool2d: "max_pool2d",
    nn.AvgPool2d: "avg_pool2d",
    nn.AdaptiveAvgPool2d: "adaptive_avg_pool2d",
    nn.Flatten: "flatten",
    nn.Dropout: "dropout",
}
_FUNCTIONS = frozenset(
    "relu gelu silu hardswish tanh sigmoid add sub mul cat flatten adaptive_avg_pool2d".split()
)


@dataclass(frozen=True, slots=True)
class Value:
    """Shape and dtype of the value of a node."""

    shape: tuple[int, ...]
    dtype: str


def graph_of_fx(
    network: TracedNetwork, model: nn.Module, values: Mapping[str, Value], larger: Mapping[str, Value]
) -> TraceGraph:
    """Return the trace graph of `network`; `values` at two batch sizes reveal the batch axes."""
    reader = _Reader(network, values, larger)
    nodes = list(network.graph.nodes)
    inputs = [n for n in nodes if n.op == "placeholder" and n.name in values]
    known = {n.name for n in inputs}
    vertices = []
    for node in nodes:
        operands = tuple(n.name for n in nodes_in((node.args, node.kwargs)) if n.name in known)
        if operands and node.op.startswith("call_") and reader.is_tensor(node):
            vertices.append(reader.vertex(node, operands))
            known.add(node.name)
    last = [n.name for n in nodes_in(network.graph.output_node().args) if n.name in known]
    ids = ["output"] if len(last) == 1 else [f"output_{i}" for i in range(len(last))]
    graph = TraceGraph(
        name=type(model).__name__,
        inputs=tuple(Input(n.name, reader.shape(n), values[n.name].dtype) for n in inputs),
        vertices=tuple(vertices),
        outputs=tuple(Output(i, source) for i, source in zip(ids, last, strict=True)),
        parameter_shapes={name: tuple(p.shape) for name, p in network.named_parameters()},
        buffer_shapes={name: tuple(b.shape) for name, b in network.named_buffers()},
        modules={path: type(module).__name__ for path, module in model.named_modules() if path},
    )
    graph.lint()
    return graph


class _Reader:
    """Conversion of torch.fx nodes to vertices."""

    def __init__(
        self, network: TracedNetwork, values: Mapping[str, Value], larger: Mapping[str, Value]
    ) -> None:
        self.network = network
        self.values = values
        self.larger = larger
        self.parameters = {id(p): name for name, p in network.named_parameters()}
        self.buffers = {id(b): name for name, b in network.named_buffers()}
        self.tensors: dict[str, Tensor] = dict(network.named_parameters(remove_duplicate=False))
        self.tensors |= dict(network.named_buffers(remove_duplicate=False))

    def is_tensor(self, node: fx.Node) -> bool:
        """Return whether a node computes a tensor, or a sequence some of whose parts are read."""
        return node.name in self.values or any(user.name in self.values for user in node.users)

    def shape(self, node: fx.Node) -> tuple[int, ...]:
        """Return the shape of the value, with -1 for the batch; for a sequence, that of its first operand."""
        if node.name not in self.values:
            return self.shape(node.all_input_nodes[0]) if node.all_input_nodes else ()
        pairs = zip(self.values[node.name].shape, self.larger[node.name].shape, strict=True)
        return tuple(a if a == b else -1 for a, b in pairs)

    def vertex(self, node: fx.Node, operands: tuple[str, ...]) -> Vertex:
        """Return the vertex of one node."""
        module = self.network.get_submodule(str(node.target)) if node.op == "call_module" else None
        if module is not None:
            name = _MODULES.get(type(module), type(module).__name__)
            tensors = [*module.parameters(), *module.buffers()]
        else:
            name = _function_name(node)
            reads = [n for n in nodes_in((node.args, node.kwargs)) if n.op == "get_attr"]
            tensors = [self.tensors[str(n.target)] for n in reads if n.target in self.tensors]
        row = rule(name)
        joins = row.role in JOINT_ROLES and row.zero is not None
        literals = [a for a in node.args if not isinstance(a, fx.Node)]
        is_plain = (row.zero == INPUTS or joins) and not tensors
        is_plain = is_plain and (name not in ("add", "sub", "cat") or len(operands) > 1 or not literals)
        is_weighted = isinstance(row.zero, str) and "weight" in factors_of(row.zero)
        is_affine = is_weighted and getattr(module, "weight", None) is not None
        keeps = is_plain or (is_affine and name != "batch_norm" and getattr(module, "bias", None) is None)
        value = self.values.get(node.name)
        return Vertex(
            id=node.name,
            name=node.name if module is None else f"{node.target}{_number(node)}",
            operator=name,
            inputs=operands,
            shape=self.shape(node),
            dtype=value.dtype if value else "",
            type_name=name if module is None else type(module).__name__,
            module="" if module is None else str(node.target),
            scope=() if module is None else _scope(str(node.target)),
            parameters=tuple(self.parameters[id(t)] for t in tensors if id(t) in self.parameters),
            buffers=tuple(self.buffers[id(t)] for t in tensors if id(t) in self.buffers),
            attributes=self._attributes(node, name, module),
            keeps_zero=keeps,
            annihilates=is_affine,
            closes=keeps or is_affine,
            macs=self._macs(node, module),
        )

    def _attributes(self, node: fx.Node, name: str, module: nn.Module | None) -> dict[str, Attribute]:
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
            padding = module.padding
            return {
                "in_channels": module.in_channels,
                "out_channels": module.out_channels,
                "groups": module.groups,
                "kernel_size": tuple(module.kernel_size),
                "stride": tuple(module.stride),
                "padding": padding if isinstance(padding, str) else tuple(padding),
                "dilation": tuple(module.dilation),
                "transposed": False,
            }
        if isinstance(module, nn.Linear):
            return {"in_features": module.in_features, "out_features": module.out_features}
        if name == "batch_norm":
            return {"num_features": self.shape(node)[1]}
        if name in ("add", "sub"):
            alpha = node.kwargs.get("alpha", 1)
            return {"alpha": alpha if isinstance(alpha, int | float) else 1}
        first = next((n for n in node.all_input_nodes), node)
        ndim = len(self.shape(first))
        if name == "cat":
            dim = node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else 0)
            return {"dim": dim % ndim} if isinstance(dim, int) else {}
        if name == "flatten":
            given = dict(zip(("input", "start_dim", "end_dim"), node.args, strict=False)) | node.kwargs
            if isinstance(module, nn.Flatten):
                given = {"start_dim": module.start_dim, "end_dim": module.end_dim}
            axes = {"start_dim": 0, "end_dim": -1} | {k: v for k, v in given.items() if isinstance(v, int)}
            return {"start_dim": axes["start_dim"] % ndim, "end_dim": axes["end_dim"] % ndim}
        return {}

    def _macs(self, node: fx.Node, module: nn.Module | None) -> int:
        shape = [abs(size) for size in self.shape(node)]
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear):
            return prod(shape) * prod(module.weight.shape[1:])
        return 0


def _function_name(node: fx.Node) -> str:
    """Return the row of the operator table if the name alone determines it, else a name without a row."""
    name = str(node.target if node.op == "call_method" else getattr(node.target, "__name__", node.target))
    plain = name.removeprefix("i") if name in ("iadd", "isub", "imul") else name
    return plain if plain in _FUNCTIONS else f"torch.{name}"


def _number(node: fx.Node) -> str:
    """Return the suffix that torch.fx appends to the name of a repeated call of a module."""
    return node.name.removeprefix("_").removeprefix(str(node.target).replace(".", "_").removeprefix("_"))


def _scope(path: str) -> tuple[str, ...]:
    parts = path.split(".")
    return tuple(".".join(parts[:i]) for i in range(1, len(parts)))


_MOST_ATTEMPTS = 50


def trace_symbolically(model: nn.Module, probe: ParityInputs) -> tuple[TracedNetwork, list[str]]:
    """Trace `model` in evaluation mode, and leave it there; also return the paths of modules kept whole.

    Raises:
        TraceError: The code of `model` itself cannot be traced.
    """
    model.eval()
    whole: set[nn.Module] = set()
    graph = _followed(model, whole)
    leaves = {str(n.target): _not_in_place(model, str(n.target)) for n in graph.find_nodes(op="call_module")}
    network = TracedNetwork.of(copy_module_tree(model, leaves), graph, type(model).__name__)
    values = _values(network, _by_placeholder(model, graph, probe.args, probe.kwargs))
    larger = _values(network, _by_placeholder(model, graph, probe.larger_args, probe.larger_kwargs))
    network.trace_graph = graph_of_fx(network, model, values, larger)
    return network, sorted(path for path, module in model.named_modules() if module in whole)


class _Tracer(fx.Tracer):
    def __init__(self, whole: set[nn.Module]) -> None:
        super().__init__()
        self.whole = whole

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Keep torch's own modules, stochastic depth and the modules in `whole` whole."""
        is_kept = m in self.whole or type(m).__name__ in OPAQUE
        return is_kept or super().is_leaf_module(m, module_qualified_name)


def _followed(model: nn.Module, whole: set[nn.Module]) -> fx.Graph:
    """Return the graph of `model`; modules that cannot be traced are added to `whole` one by one."""
    for _ in range(_MOST_ATTEMPTS):
        try:
            return _Tracer(whole).trace(model)
        except Exception as error:  # the user's code, run on proxies, may raise anything
            culprit = next((m for m in _modules_of(error) if m is not model and m not in whole), None)
            if culprit is None:
                raise
            whole.add(culprit)
    raise TraceError(f"{type(model).__name__} has more than {_MOST_ATTEMPTS} modules that cannot be traced")


def _modules_of(error: BaseException) -> Iterator[nn.Module]:
    """Yield the modules in whose code an error was raised, innermost first."""
    frames = []
    position = error.__traceback__
    while position is not None:
        frames.append(position.tb_frame)
        position = position.tb_next
    for frame in reversed(frames):
        owner = frame.f_locals.get("self")
        if isinstance(owner, nn.Module) and frame.f_code.co_name not in ("__call__", "_call_impl"):
            yield owner


def _not_in_place(model: nn.Module, path: str) -> nn.Module:
    """Return the user's module, or an out-of-place copy if it writes to its operand."""
    module = model.get_submodule(path)
    if getattr(module, "inplace", False):
        module = copy.copy(module)
        vars(module)["inplace"] = False
    return module


def _by_placeholder(
    model: nn.Module, graph: fx.Graph, args: tuple[object, ...], kwargs: Mapping[str, object]
) -> list[object]:
    """Return the arguments in placeholder order, without those that keep their defaults."""
    bound = inspect.signature(model.forward).bind(*args, **kwargs).arguments
    return [bound[str(n.target)] for n in graph.find_nodes(op="placeholder") if n.target in bound]


def _values(network: fx.GraphModule, arguments: list[object]) -> dict[str, Value]:
    """Return shape and dtype of every tensor while `network` runs."""
    runner = _Runner(network)
    with torch.no_grad():
        runner.run(*arguments)
    return runner.values


class _Runner(fx.Interpreter):
    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.values: dict[str, Value] = {}

    def run_node(self, n: fx.Node) -> object:
        """Run one node, and record shape and dtype of its value."""
        value = super().run_node(n)
        if isinstance(value, Tensor):
            self.values[n.name] = Value(tuple(value.shape), str(value.dtype).removeprefix("torch."))
        return value
