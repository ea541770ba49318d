"""An ONNX file as a trace graph, to look at: no weights are read and nothing can be trained or cut.

Operators become rows of the operator table (`operators`), initialisers become parameters, what does not
depend on the input disappears. All graphs, structures and sizes follow from `nasviz.graph.search_space`, as
they do for a traced network. An exporter may have folded operators away, most of all BatchNorm into the
convolution before it.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from nasviz.errors import OnnxError
from nasviz.graph.trace_graph import Input, Output, TraceGraph, Vertex
from nasviz.onnx_viewer.files import Limits, open_onnx
from nasviz.onnx_viewer.names import Place, leaves, modules_of, place_of, plain, unique
from nasviz.onnx_viewer.operators import describe, value_operands
from nasviz.onnx_viewer.shapes import OnnxFile
from nasviz.onnx_viewer.values import Call, Values, calls_of
from nasviz.onnx_viewer.weighted import Description

__all__ = ["OnnxView", "read_onnx", "view_onnx"]


@dataclass(frozen=True, slots=True)
class OnnxView:
    """What an ONNX file shows of a network."""

    trace_graph: TraceGraph
    opset: int
    producer: str
    """Program that wrote the file and its version, as the file says. Untrusted text."""
    notes: tuple[str, ...]
    """What one should know of it, in words."""


def read_onnx(path: Path | str, limits: Limits | None = None) -> TraceGraph:
    """The network of an ONNX file as a trace graph.

    The file is parsed here, in this process: for an untrusted file use `nasviz.jobs.ViewOnnx`.

    Raises:
        OnnxError: The file is no ONNX, damaged, too large, contradicts itself or needs other files.
    """
    return view_onnx(path, limits).trace_graph


def view_onnx(path: Path | str, limits: Limits | None = None, *, name: str | None = None) -> OnnxView:
    """The same, with what is known of the file.

    Args:
        path: The file.
        limits: How much it may hold.
        name: What its owner calls it, where that is not the name of the file.

    Raises:
        OnnxError: See `read_onnx`.
    """
    file = open_onnx(path, limits, name=name)
    model = file.model
    producer = plain(f"{model.producer_name or ''} {model.producer_version or ''}".strip(), 60)
    reader = _Reader(file)
    title = plain(model.graph.name or Path(name or path).stem, 60)
    graph = reader.graph(f"{title} (ONNX opset {file.opset}{f', {producer}' if producer else ''})")
    notes = file.notes
    if reader.copied:
        notes += (
            f"{len(reader.copied)} vectors of one repeated number are stored once for several operators; each"
            f" operator has its own here",
        )
    return OnnxView(graph, file.opset, producer, notes)


class _Reader:
    """Turns the calls of one file into vertices."""

    def __init__(self, file: OnnxFile) -> None:
        graph = file.model.graph
        calls = calls_of(graph)
        self.values = Values(file, calls)
        self.outputs = [value.name or "" for value in graph.outputs]
        self.alias: dict[str, str] = {}
        kept = self._without_copies(calls)
        self.calls = self._live(_fused(kept, [self._source(v) for v in self.outputs]))
        self.ids: dict[str, str] = {}  # of vertices and inputs, by the name of the value
        self.taken: set[str] = set()
        self.shown: dict[tuple[str, str], str] = {}  # plain name of a tensor, by its name and its only reader
        self.parameters: dict[str, str] = {}  # name in the file by plain name
        self.buffers: dict[str, str] = {}
        readers = Counter(root for call in self.calls for i in call.inputs for root in self.values.roots(i))
        self.copied = {name for name in file.repeated if readers[name] > 1}

    def graph(self, name: str) -> TraceGraph:
        values = self.values
        for value in values.inputs:
            self.ids[value] = self._id(value)
        inputs = tuple(Input(self.ids[v], values.shape(v), values.dtype(v)) for v in values.inputs)
        last = [v for v in dict.fromkeys(map(self._source, self.outputs)) if v in values.dependent]
        described = [describe(call, values) for call in self.calls]
        found = [self._place(*pair) for pair in zip(self.calls, described, strict=True)]
        places = leaves(found, [what.operator for what in described])
        names: set[str] = set()
        vertices: list[Vertex] = []
        for call, what, place in zip(self.calls, described, places, strict=True):
            vertices += self._vertices(call, what, place, names)
        if not last:
            raise OnnxError("no output of this ONNX file depends on an input")
        ids = ["output"] if len(last) == 1 else [f"output_{i}" for i in range(len(last))]
        sizes = values.sizes
        graph = TraceGraph(
            name=name,
            inputs=inputs,
            vertices=tuple(vertices),
            outputs=tuple(Output(self._id(i), self.ids[v]) for i, v in zip(ids, last, strict=True)),
            parameter_shapes={name: sizes(v) or () for name, v in self.parameters.items()},
            buffer_shapes={name: sizes(v) or () for name, v in self.buffers.items()},
            modules=modules_of(places, {v.module: v.type_name for v in vertices if v.module}),
        )
        graph.lint()
        return graph

    def _vertices(self, call: Call, what: Description, place: Place, names: set[str]) -> list[Vertex]:
        """The vertex of a call, and one for each of its results where several are read."""
        values = self.values
        read = [(i, name) for i, name in enumerate(call.outputs) if name in self.read]
        inputs = [self.ids[s] for s in map(self._source, call.inputs) if s in values.dependent]
        parameters, buffers = self._tensors(call, what)
        own = ".".join(part for part in (place.prefix, what.operator.rpartition(".")[2]) if part)
        name = unique(place.module or own, names)
        names.add(name)
        main = Vertex(
            id=self._id(name),
            name=name,
            operator=what.operator,
            inputs=tuple(inputs),
            shape=values.shape(call.outputs[0] or read[0][1]),
            dtype=values.dtype(call.outputs[0] or read[0][1]),
            type_name=plain(call.op, 60),
            module=(place.module or name) if what.is_module and parameters else "",
            scope=place.scope,
            parameters=tuple(parameters),
            buffers=tuple(buffers),
            attributes=what.attributes,
            keeps_zero=what.behaviour.keeps_zero,
            annihilates=what.behaviour.annihilates,
            closes=what.behaviour.closes,
            macs=what.macs,
        )
        if call.op != "Split" and read[0][0] == 0 and len(read) == 1:
            self.ids[call.outputs[0]] = main.id
            return [main]
        vertices = [replace(main, shape=values.shape(call.operand(0)))]
        for index, output in read:
            part = unique(f"{name}.{index}", names)
            names.add(part)
            self.ids[output] = self._id(part)
            vertices.append(
                Vertex(
                    id=self.ids[output],
                    name=part,
                    operator="getitem",
                    inputs=(main.id,),
                    shape=values.shape(output),
                    dtype=values.dtype(output),
                    type_name=plain(call.op, 60),
                    scope=place.scope,
                    attributes={"index": index},
                    keeps_zero=what.behaviour.keeps_zero,
                    closes=what.behaviour.keeps_zero,
                )
            )
        return vertices

    def _tensors(self, call: Call, what: Description) -> tuple[dict[str, None], dict[str, None]]:
        """Plain names of the parameters and buffers that a call reads, the weight first."""
        parameters: dict[str, None] = {}
        buffers: dict[str, None] = {}
        values = self.values
        others = [n for n in value_operands(call) if n not in (*what.weights, *what.statistics)]
        for operand in (*what.weights, *what.statistics, *others):
            for root in values.roots(operand):
                is_weight = operand in what.weights
                if operand not in what.statistics and values.is_parameter(root, is_weight=is_weight):
                    parameters[self._shown(self.parameters, root, operand, call)] = None
                elif operand in what.statistics or len(values.constant(root) or (0, 0)) > 1:
                    buffers[self._shown(self.buffers, root, operand, call)] = None
        return parameters, {name: None for name in buffers if name not in parameters}

    def _shown(self, known: dict[str, str], root: str, operand: str, call: Call) -> str:
        """Plain name of a tensor; what an exporter stored once for several readers is told apart again.

        Torch's older exporter leaves the names of the others to copies (`Identity`), so those are taken.
        """
        key = (root, call.outputs[0] if root in self.copied else "")
        if key not in self.shown:
            name = operand if root in self.copied else root
            self.shown[key] = unique(plain(name) or "tensor", {*self.parameters, *self.buffers})
        known[self.shown[key]] = root
        return self.shown[key]

    def _place(self, call: Call, what: Description) -> Place:
        roots = (root for operand in what.weights for root in self.values.roots(operand))
        weight = next(roots, "") if what.is_module else ""
        return place_of("" if weight in self.copied else weight, call.name, call.namespace)

    def _id(self, name: str) -> str:
        """A name of letters, digits and underscores, which nothing else has."""
        found = unique(re.sub(r"\W", "_", name, flags=re.ASCII)[:80] or "value", self.taken)
        self.taken.add(found)
        return found

    def _source(self, name: str) -> str:
        """Return what a value is a copy of."""
        return self.alias.get(name, name)

    def _without_copies(self, calls: list[Call]) -> list[Call]:
        """The calls that depend on the input, without those that hand on what they are given."""
        kept = []
        for call in calls:
            call = replace(call, inputs=tuple(map(self._source, call.inputs)))
            if self.values.dependent.isdisjoint(call.outputs):
                continue
            is_one_of_one = call.op in ("Sum", "Max", "Min", "Mean", "Concat") and len(call.inputs) == 1
            if not call.domain and (call.op == "Identity" or is_one_of_one):
                self.alias[call.outputs[0]] = call.inputs[0]
            else:
                kept.append(call)
        return kept

    def _live(self, calls: list[Call]) -> list[Call]:
        """The calls that an output needs; remembers which values are read."""
        self.read = set(map(self._source, self.outputs))
        kept = []
        for call in reversed(calls):
            if not self.read.isdisjoint(call.outputs):
                kept.append(call)
                self.read.update(call.inputs)
        return kept[::-1]


def _fused(calls: list[Call], outputs: list[str]) -> list[Call]:
    """`x * Sigmoid(x)` and `x * HardSigmoid(x)` are one operator to torch, `silu` and `hardswish`."""
    readers = Counter(name for call in calls for name in call.inputs) + Counter(outputs)
    gates = {c.outputs[0]: c for c in calls if c.op in ("Sigmoid", "HardSigmoid") and not c.domain}
    gone: set[str] = set()
    fused = []
    for call in calls:
        found = call
        if call.op == "Mul" and not call.domain:
            for gate, value in (call.inputs, call.inputs[::-1]):
                sigmoid = gates.get(gate)
                if sigmoid is None or sigmoid.inputs != (value,) or readers[gate] > 1:
                    continue
                if operator := _gated(sigmoid):
                    found = replace(call, op=operator, inputs=(value,))
                    gone.add(gate)
        fused.append(found)
    return [call for call in fused if call.outputs[0] not in gone]


def _gated(sigmoid: Call) -> str:
    if sigmoid.op == "Sigmoid":
        return "Swish"
    slope, middle = sigmoid.attributes.get("alpha", 0.2), sigmoid.attributes.get("beta", 0.5)
    return "HardSwish" if abs(slope - 1 / 6) < 1e-4 and middle == 0.5 else ""
