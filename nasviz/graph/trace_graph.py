"""Trace graph: every operator call of a network, as data (ASGNAS, section 3.1).

A vertex is one call of one operator whose result depends on the input: a module that is called twice is two
vertices that share parameters. Edges follow data. The virtual inputs and outputs are kept apart from the
vertices. Nothing here needs torch, so a trace graph can be saved as JSON, sent and read anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from math import prod
from typing import Any

import networkx as nx

from nasviz.errors import GraphError, UnknownVertexError
from nasviz.extras import repr_html
from nasviz.graph.operators.rules import OperatorRule, Role, terms
from nasviz.graph.operators.table import declared, rule

__all__ = ["SCOPE", "Input", "Output", "Slice", "TraceGraph", "Vertex", "is_switch", "is_switch_parameter"]

Attribute = int | float | bool | str | tuple[int | None, ...] | None
JOINT_ROLES = (Role.ADDITIVE, Role.CONCATENATING, Role.MULTIPLICATIVE, Role.SELECTING)

SCOPE = "switches"
"""Module of a network that holds the parameters of switches; underscores follow if the name is taken."""
_PARAMETER = re.compile(rf"{SCOPE}_*\.[^.]+")


@dataclass(frozen=True, slots=True)
class Slice:
    """Rows of a tensor that are cut, or zeroed, together with something that goes."""

    tensor: str
    """Name of a parameter or buffer."""
    dim: int
    rows: tuple[int, ...]
    """Indices along `dim`."""
    vertex: str
    """The vertex that reads the tensor."""


@dataclass(frozen=True, slots=True)
class Vertex:
    """One operator call."""

    id: str
    """Unique in the graph; the name of the node in the lifted graph."""
    name: str
    """As people read it: the module's path, or operator and number. Text from a model, untrusted."""
    operator: str
    """Name of its rule."""
    inputs: tuple[str, ...]
    """Vertices or virtual inputs whose values it reads, in operand order; repeats stay."""
    shape: tuple[int, ...] = ()
    """Of its output; -1 for the batch."""
    dtype: str = "float32"
    type_name: str = ""
    """Class of the module it calls, or the operator."""
    module: str = ""
    """Path of the module it calls; empty for a function."""
    scope: tuple[str, ...] = ()
    """Paths of the modules around the call, outermost first, without its own module."""
    parameters: tuple[str, ...] = ()
    """Names of the trainable parameters it reads: weight first, then bias."""
    buffers: tuple[str, ...] = ()
    """Names of the buffers it reads or updates."""
    tensors: Mapping[str, str] = field(default_factory=dict)
    """By argument: the parameters and buffers that reach the call as they are."""
    computed: Mapping[str, str] = field(default_factory=dict)
    """By argument: values computed from parameters and buffers alone (`TraceGraph.computed`)."""
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    """Literals that rules need: `dim` of a cat, `dims` of a permute, `groups`, ..."""
    keeps_zero: bool = False
    """Zero in gives zero out, whatever its parameters."""
    annihilates: bool = False
    """Its parameters at zero give zero out, whatever goes in."""
    closes: bool = False
    """Zero in and its parameters at zero give zero out."""
    macs: int = 0
    """Multiply-accumulates of convolutions and linears at batch 1."""
    source: str = ""
    """Line of the user's code, as `file:line`, where known."""
    declaration: str = ""
    """Rule of an operator of another library, as it was registered when the network was traced."""

    @property
    def rule(self) -> OperatorRule:
        """The rule of its operator."""
        return declared(self.declaration) if self.declaration else rule(self.operator)

    @property
    def silent_buffers(self) -> tuple[str, ...]:
        """Buffers that are set to zero with its parameters, such as the shift of a frozen norm."""
        return tuple(str(self.attributes.get("silent_buffers", "")).split())

    @property
    def is_joint(self) -> bool:
        """Whether two or more of its operands depend on the input."""
        return len(self.inputs) >= 2

    @property
    def role(self) -> Role:
        """Role in the dependency graph; a joint role only where it is a joint."""
        role = self.rule.role
        if self.is_joint:
            return role if role in JOINT_ROLES else Role.UNKNOWN
        return Role.ACCESSORY if role in JOINT_ROLES else role

    @property
    def annihilating_inputs(self) -> tuple[str, ...]:
        """Operands of a product each of which, at zero, makes it zero: factors of every term."""
        rule = self.rule
        if self.role is not Role.MULTIPLICATIVE or not isinstance(rule.zero, str):
            return ()
        if self.attributes.get("computed"):
            return ()  # an argument is computed of parameters: which operand is which is not known
        if "/" in rule.zero and len(set(self.inputs)) < len(self.inputs):
            return ()  # zero by zero
        known = {*self.tensors, *self.computed}
        names = [name for name in rule.arguments if name not in known]
        if len(names) < len(self.inputs):
            return ()
        products = [set(term) for term in terms(rule.zero)]
        operands = zip(self.inputs, names, strict=False)
        return tuple(source for source, name in operands if all(name in product for product in products))


def is_switch_parameter(name: str) -> bool:
    """Return whether a parameter of this name belongs to a switch.

    Examples:
        >>> is_switch_parameter("switches.relu_1"), is_switch_parameter("conv.weight")
        (True, False)
    """
    return _PARAMETER.fullmatch(name) is not None


def is_switch(vertex: Vertex) -> bool:
    """Return whether a vertex multiplies one value by a parameter of a switch."""
    is_scaling = vertex.operator == "mul" and len(vertex.inputs) == 1 and len(vertex.parameters) == 1
    return is_scaling and is_switch_parameter(vertex.parameters[0])


@dataclass(frozen=True, slots=True)
class Input:
    """A virtual input."""

    id: str
    shape: tuple[int, ...] = ()
    dtype: str = "float32"


@dataclass(frozen=True, slots=True)
class Output:
    """A virtual output: the place where a vertex leaves the network."""

    id: str
    source: str
    """Vertex that feeds it."""
    is_required: bool = True
    """False for one whose loss is accepted (an auxiliary head, by choice)."""
    name: str = ""
    """Its place in what the network returns, such as `aux_logits` or `features.0`; empty for the only one."""


@dataclass(frozen=True)
class TraceGraph:
    """All vertices in topological order, with the tensors that they read.

    Examples:
        >>> graph = TraceGraph(
        ...     "two",
        ...     (Input("x", (-1, 4)),),
        ...     (Vertex("a", "a", "relu", ("x",)), Vertex("b", "b", "add", ("a", "x"))),
        ...     (Output("output_0", "b"),),
        ... )
        >>> len(graph), graph["b"].is_joint, list(graph.to_networkx().edges)
        (2, True, [('x', 'a'), ('x', 'b'), ('a', 'b'), ('b', 'output_0')])
    """

    name: str
    inputs: tuple[Input, ...]
    vertices: tuple[Vertex, ...]
    outputs: tuple[Output, ...]
    parameter_shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Every trainable parameter of the network, each tensor once, also those that no vertex reads."""
    buffer_shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    computed: Mapping[str, Vertex] = field(default_factory=dict)
    """Values computed from parameters and buffers alone, in order, under names that begin with `%`; what they
    read are such values, parameters and buffers."""
    modules: Mapping[str, str] = field(default_factory=dict)
    """Class name of every module, by path."""
    frozen: tuple[str, ...] = ()
    """Parameters that nothing trains: nothing may write to them either."""

    def __repr__(self) -> str:
        shapes = ", ".join(str(entry.shape) for entry in self.inputs)
        return (
            f"TraceGraph({self.name}: {len(self)} vertices, {self.num_parameters:,} parameters, {self.macs:,}"
            f" MACs, inputs {shapes})"
        )

    _repr_html_ = repr_html

    def __len__(self) -> int:
        return len(self.vertices)

    def __iter__(self) -> Iterator[Vertex]:
        return iter(self.vertices)

    @cached_property
    def places(self) -> dict[str, int]:
        """Place of every vertex in the order."""
        return {vertex.id: place for place, vertex in enumerate(self.vertices)}

    def __contains__(self, vertex_id: object) -> bool:
        return vertex_id in self._by_id

    def __getitem__(self, vertex_id: str) -> Vertex:
        try:
            return self._by_id[vertex_id]
        except KeyError:
            message = f"no vertex {vertex_id!r} in this trace graph of {len(self)} vertices"
            raise UnknownVertexError(message) from None

    @cached_property
    def _by_id(self) -> dict[str, Vertex]:
        return {vertex.id: vertex for vertex in self.vertices}

    @cached_property
    def consumers(self) -> dict[str, tuple[str, ...]]:
        """For each vertex and virtual input: who reads it, vertices and outputs, in order, each once."""
        sources = [i.id for i in self.inputs] + [v.id for v in self.vertices]
        readers: dict[str, dict[str, None]] = {source: {} for source in sources}
        for vertex in self.vertices:
            for source in vertex.inputs:
                readers[source][vertex.id] = None
        for output in self.outputs:
            readers[output.source][output.id] = None
        return {key: tuple(value) for key, value in readers.items()}

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of the value of each vertex and virtual input."""
        return {i.id: i.shape for i in self.inputs} | {v.id: v.shape for v in self.vertices}

    @cached_property
    def tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every parameter, buffer and computed value."""
        stored = {
            name: tuple(shape)
            for name, shape in (*self.buffer_shapes.items(), *self.parameter_shapes.items())
        }
        return stored | {name: vertex.shape for name, vertex in self.computed.items()}

    def leaves(self, name: str) -> frozenset[str]:
        """Return the parameters and buffers that a value of this name is made of."""
        vertex = self.computed.get(name)
        return frozenset((*vertex.parameters, *vertex.buffers) if vertex else (name,))

    @cached_property
    def parameter_readers(self) -> dict[str, tuple[str, ...]]:
        """For each parameter the vertices that read it, in order; empty for one that none reads."""
        readers: dict[str, list[str]] = {name: [] for name in self.parameter_shapes}
        for vertex in self.vertices:
            for name in vertex.parameters:
                readers[name].append(vertex.id)
        return {name: tuple(vertices) for name, vertices in readers.items()}

    @cached_property
    def buffer_readers(self) -> dict[str, tuple[str, ...]]:
        """For each buffer the vertices that read it, in order."""
        readers: dict[str, list[str]] = {name: [] for name in self.buffer_shapes}
        for vertex in self.vertices:
            for name in vertex.buffers:
                readers.setdefault(name, []).append(vertex.id)
        return {name: tuple(vertices) for name, vertices in readers.items()}

    @property
    def num_edges(self) -> int:
        """Data edges between vertices; virtual inputs and outputs not counted."""
        inputs = {i.id for i in self.inputs}
        return sum(len(set(v.inputs) - inputs) for v in self.vertices)

    @property
    def num_parameters(self) -> int:
        """Trainable numbers, shared tensors counted once."""
        return sum(prod(shape) for shape in self.parameter_shapes.values())

    @property
    def macs(self) -> int:
        """Multiply-accumulates of convolutions and linears at batch 1."""
        return sum(vertex.macs for vertex in self.vertices)

    def with_optional(self, entries: Iterable[str]) -> TraceGraph:
        """This graph with outputs whose loss is accepted.

        Args:
            entries: Ids of outputs, their places in what the network returns, or vertices or modules that
                they come from.

        Raises:
            UnknownVertexError: An entry names no output.
            GraphError: No output would be required any more.
        """
        found: set[str] = set()
        for entry in entries:
            hits = {o.id for o in self.outputs if self._comes_from(o, entry)}
            if not hits:
                known = ", ".join(f"{o.id} ({o.name or self._source_name(o)})" for o in self.outputs)
                raise UnknownVertexError(f"{entry!r} is no output of this network; it has {known}")
            found |= hits
        outputs = tuple(replace(o, is_required=o.is_required and o.id not in found) for o in self.outputs)
        if found and not any(o.is_required for o in outputs):
            raise GraphError("every output would be optional; leave at least one of them required")
        return replace(self, outputs=outputs) if found else self

    def _comes_from(self, output: Output, entry: str) -> bool:
        place = f"{output.name}."
        vertex = self._by_id.get(output.source)
        origins = (vertex.id, vertex.name, vertex.module, *vertex.scope) if vertex else (output.source,)
        return entry == output.id or place.startswith(f"{entry}.") or entry in origins

    def _source_name(self, output: Output) -> str:
        vertex = self._by_id.get(output.source)
        return vertex.name if vertex else output.source

    def lint(self) -> None:
        """Check what every trace graph promises.

        Raises:
            GraphError: Ids repeat, an operand comes after its reader, or a tensor has no shape.
        """
        known = {i.id for i in self.inputs}
        for vertex in self.vertices:
            if vertex.id in known:
                raise GraphError(f"vertex id {vertex.id!r} stands twice in {self.name}")
            if late := [source for source in vertex.inputs if source not in known]:
                raise GraphError(f"{vertex.id} reads {late} before they are computed")
            if not vertex.inputs:
                raise GraphError(f"{vertex.id} does not depend on the input")
            _ = vertex.rule  # a declaration in a file may be none
            if lost := [p for p in vertex.parameters if p not in self.parameter_shapes]:
                raise GraphError(f"{vertex.id} reads parameters without a shape: {lost}")
            if lost := [name for name in vertex.computed.values() if name not in self.computed]:
                raise GraphError(f"{vertex.id} reads computed values that are not there: {lost}")
            known.add(vertex.id)
        stored = {*self.parameter_shapes, *self.buffer_shapes}
        for name, value in self.computed.items():
            if not value.inputs or not stored.issuperset((*value.inputs, *value.tensors.values())):
                raise GraphError(f"{name} reads values before they are computed")
            stored.add(name)
        if lost := [o.source for o in self.outputs if o.source not in known]:
            raise GraphError(f"outputs read unknown vertices {lost}")

    def to_networkx(self) -> nx.DiGraph:
        """Vertices, virtual inputs and outputs as a `DiGraph`; the record of each is its attribute `data`."""
        graph = nx.DiGraph(name=self.name)
        graph.add_nodes_from((i.id, {"data": i, "kind": "input"}) for i in self.inputs)
        graph.add_nodes_from((v.id, {"data": v, "kind": "vertex"}) for v in self.vertices)
        graph.add_nodes_from((o.id, {"data": o, "kind": "output"}) for o in self.outputs)
        for source, readers in self.consumers.items():
            graph.add_edges_from((source, reader) for reader in readers)
        return graph

    def to_json(self) -> dict[str, Any]:
        """Plain data, ready for `json.dumps`."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TraceGraph:
        """The graph that `to_json` wrote; checked by `lint`.

        Raises:
            GraphError: The data is not a trace graph.
        """
        try:
            graph = cls(
                name=data["name"],
                inputs=tuple(Input(**_tuples(item)) for item in data["inputs"]),
                vertices=tuple(Vertex(**_vertex_fields(item)) for item in data["vertices"]),
                outputs=tuple(Output(**item) for item in data["outputs"]),
                parameter_shapes={k: tuple(v) for k, v in data["parameter_shapes"].items()},
                buffer_shapes={k: tuple(v) for k, v in data["buffer_shapes"].items()},
                computed={k: Vertex(**_vertex_fields(v)) for k, v in data.get("computed", {}).items()},
                modules=dict(data["modules"]),
                frozen=tuple(data.get("frozen", ())),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise GraphError(f"not a trace graph: {error}") from error
        graph.lint()
        return graph


def _tuples(item: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in item.items()}


def _vertex_fields(item: Mapping[str, Any]) -> dict[str, Any]:
    return _tuples(item) | {
        "attributes": _tuples(item["attributes"]),
        "tensors": dict(item.get("tensors", {})),
        "computed": dict(item.get("computed", {})),
    }
