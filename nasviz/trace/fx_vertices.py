"""Trace graph of a network traced by `torch.fx`: modules by class, functions by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from torch import Tensor, fx, nn

from nasviz.graph.operators.rules import INPUTS, factors_of
from nasviz.graph.operators.table import rule
from nasviz.graph.trace_graph import JOINT_ROLES, Attribute, Input, Output, TraceGraph, Vertex
from nasviz.trace.calls import nodes_in
from nasviz.trace.network import TracedNetwork

__all__ = ["Value", "graph_of_fx"]

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
