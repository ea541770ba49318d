"""Values of an ONNX graph: which depend on the input, their shapes, and what the others are made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import onnx_ir as ir
from onnx_ir.analysis import analyze_implicit_usage

from nasviz.errors import OnnxError
from nasviz.graph.operators.rules import INPUT, OTHER, PARAMETER, ZERO, Behaviour, product_at_zero
from nasviz.onnx_viewer.names import first_line, plain
from nasviz.onnx_viewer.shapes import LARGEST_CONSTANT, OnnxFile

__all__ = ["Call", "Values", "calls_of"]

_READ_NO_VALUE = frozenset("Shape Size EyeLike RandomNormalLike RandomUniformLike".split())
"""Operators that read a tensor for its shape only."""
_MOVING = frozenset(
    "Identity Cast Transpose Reshape Squeeze Unsqueeze Expand Flatten Slice Gather Tile Neg DequantizeLinear"
    " QuantizeLinear".split()
)
"""Operators whose value is zero where their first operand is, when that is a parameter."""
_FLOATS = ("float32", "float16", "float64", "bfloat16")
_DTYPES = {"float": "float32", "double": "float64"}


@dataclass(frozen=True, slots=True)
class Call:
    """One node, as plain data; `domain` is empty for the standard operators."""

    op: str
    inputs: tuple[str, ...]
    """Names of values, empty where an optional one is left out; then those that graphs inside it capture."""
    outputs: tuple[str, ...]
    name: str = ""
    domain: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """Numbers, texts (decoded) and lists of numbers; tensors as they are."""
    namespace: str = ""

    def operand(self, index: int) -> str:
        """Name of an operand; empty where it is left out."""
        return self.inputs[index] if index < len(self.inputs) else ""


def calls_of(graph: ir.Graph) -> list[Call]:
    """Return the nodes of a graph, in its order, which is topological."""
    captured = analyze_implicit_usage(graph)
    calls = []
    for node in graph:
        inner = [part for attribute in node.attributes.values() for part in _graphs(attribute)]
        extra = sorted({value.name or "" for part in inner for value in captured[part]})
        inputs = [value.name or "" if value is not None else "" for value in node.inputs]
        calls.append(
            Call(
                op=node.op_type,
                inputs=(*inputs, *(name for name in extra if name not in inputs)),
                outputs=tuple(value.name or "" for value in node.outputs),
                name=node.name or "",
                domain="" if node.domain == "ai.onnx" else node.domain,
                attributes={name: _plain(attribute) for name, attribute in node.attributes.items()},
                namespace=node.metadata_props.get("namespace", ""),
            )
        )
    return calls


def _graphs(attribute: ir.Attr) -> Sequence[ir.Graph]:
    if attribute.type == ir.AttributeType.GRAPH:
        return (attribute.as_graph(),)
    return attribute.as_graphs() if attribute.type == ir.AttributeType.GRAPHS else ()


def _plain(attribute: ir.Attr) -> Any:
    return list(attribute.value) if isinstance(attribute.value, tuple) else attribute.value


class Values:
    """Answers about the values of one graph, by name."""

    def __init__(self, file: OnnxFile, calls: list[Call]) -> None:
        graph = file.model.graph
        self.batch, self.is_batch_open = file.batch, file.is_batch_open
        self.tensors = {name: value.const_value for name, value in graph.initializers.items()}
        self.inputs = [value.name or "" for value in graph.inputs if value.name not in self.tensors]
        self.makers = {name: call for call in calls for name in call.outputs if name}
        self.dependent = set(self.inputs)
        for call in calls:
            if call.op not in _READ_NO_VALUE and not self.dependent.isdisjoint(call.inputs):
                self.dependent.update(name for name in call.outputs if name)
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._dtypes: dict[str, str] = {}
        self._kinds: dict[str, str] = {}
        values = [*graph.inputs, *graph.initializers.values()]
        for value in (*values, *(output for node in graph for output in node.outputs)):
            self._note(value)
        self._computed: dict[str, Behaviour | None] = {}
        for call in calls:
            if call.outputs[:1] and call.outputs[0] not in self.dependent:
                self._computed[call.outputs[0]] = self._factor_of(call)
        self._batch_axes: dict[str, int | None] = {name: 0 for name in self.inputs if self.rank(name)}
        for call in calls:
            for name in call.outputs:
                if name in self.dependent:
                    self._batch_axes[name] = self._batch_axis(call, name)

    def sizes(self, name: str) -> tuple[int, ...] | None:
        """All sizes of a value, the batch as the file has it; None where they are not known."""
        return self._shapes.get(name)

    def shape(self, name: str) -> tuple[int, ...]:
        """Sizes with -1 for the batch; empty where they are not known."""
        axis, sizes = self._batch_axes.get(name), self._shapes.get(name, ())
        return tuple(-1 if place == axis else size for place, size in enumerate(sizes))

    def rank(self, name: str) -> int:
        """Number of axes; 0 where it is not known."""
        return len(self._shapes.get(name, ()))

    def dtype(self, name: str) -> str:
        """Type of its numbers, in torch's words."""
        return self._dtypes.get(name, "")

    def numbers_per_example(self, name: str) -> int:
        """Return how many numbers it holds for a batch of one; 0 where that is not known."""
        sizes = self._shapes.get(name, (0,))
        if -1 in sizes:
            return 0
        has_batch = self._batch_axes.get(name) is not None
        return prod(sizes) // (self.batch if has_batch else 1)

    def constant(self, name: str) -> list[Any] | None:
        """Return the numbers of a small tensor of the file as one list; None for any other value.

        Raises:
            OnnxError: The tensor holds more or fewer numbers than its shape says.
        """
        tensor = self._tensor(name)
        if tensor is None or prod(tensor.shape.numpy()) > LARGEST_CONSTANT:
            return None
        try:
            numbers: list[Any] = tensor.numpy().ravel().tolist()
        except (ValueError, TypeError) as error:
            raise OnnxError(f"the tensor {plain(name)} of this file: {first_line(error)}") from None
        return numbers

    def is_parameter(self, name: str, *, is_weight: bool = False) -> bool:
        """Return whether a tensor of the file is trainable, by its form and place: ONNX does not say.

        Args:
            name: Of an initialiser or of the result of a `Constant`.
            is_weight: Whether it stands where an operator takes its weight, bias, gain or shift.
        """
        if kind := self._kinds.get(name):
            return kind == "PARAMETER"
        if is_weight:
            return True
        tensor = self.tensors.get(name)
        return tensor is not None and self.dtype(name) in _FLOATS and tensor.size > 1

    def roots(self, name: str) -> Iterator[str]:
        """Tensors of the file that a value without input is made of."""
        seen, waiting = set(), [name]
        while waiting:
            value = waiting.pop()
            if not value or value in seen or value in self.dependent:
                continue
            seen.add(value)
            if self._tensor(value) is not None:
                yield value
            elif value in self.makers:
                call = self.makers[value]
                waiting += list(call.inputs[:1] if call.op in _MOVING else call.inputs)[::-1]

    def weight_root(self, name: str) -> tuple[str, bool] | None:
        """The tensor that is read as a weight and whether it is read transposed; None for one computed."""
        is_transposed = False
        for _ in range(len(self.makers)):
            if self._tensor(name) is not None:
                return name, is_transposed
            call = self.makers.get(name)
            if call is None or call.op not in ("Identity", "Cast", "DequantizeLinear", "Transpose"):
                return None
            if call.op == "Transpose":
                if self.rank(name) != 2 or call.attributes.get("perm", [1, 0]) != [1, 0]:
                    return None
                is_transposed = not is_transposed
            name = call.operand(0)
        return None

    def factor(
        self, name: str, *, is_weight: bool = False, missing: Behaviour | None = OTHER
    ) -> Behaviour | None:
        """Return how an operand is zero (see `behaviour`); `missing` where it is left out."""
        if not name:
            return missing
        if name in self.dependent:
            return OTHER if name in self.inputs and self.dtype(name) not in _FLOATS else INPUT
        if self._tensor(name) is not None:
            numbers = self.constant(name)
            if self.is_parameter(name, is_weight=is_weight):
                return PARAMETER
            return ZERO if numbers is not None and not any(numbers) else OTHER
        return self._computed.get(name, OTHER)

    def _tensor(self, name: str) -> ir.TensorProtocol | None:
        if name in self.tensors:
            return self.tensors[name]
        call = self.makers.get(name)
        if call is None or call.op != "Constant" or call.domain:
            return None
        given = call.attributes
        for key in ("value_int", "value_ints", "value_float", "value_floats"):
            if key in given:
                return ir.tensor(given[key])
        tensor: ir.TensorProtocol | None = given.get("value")
        return tensor

    def _factor_of(self, call: Call) -> Behaviour | None:
        """Return how the result of a call without input is zero."""
        if call.domain:
            return OTHER
        if call.op in _MOVING:
            return self.factor(call.operand(0))
        if call.op == "Mul":
            return product_at_zero(self.factor(operand) for operand in call.inputs)
        return OTHER

    def _note(self, value: ir.Value) -> None:
        name, tensor = value.name or "", value.const_value
        kind = value.metadata_props.get("pkg.torch.export.graph_signature.InputSpec.kind")
        if kind in ("PARAMETER", "BUFFER"):
            self._kinds[name] = kind
        # What the file says of the shape of a tensor that it holds is optional.
        shape, dtype = (value.shape, value.dtype) if tensor is None else (tensor.shape, tensor.dtype)
        if shape is not None:
            self._shapes[name] = tuple(size if isinstance(size, int) else -1 for size in shape)
        if dtype is not None:
            self._dtypes[name] = _DTYPES.get(dtype.name.lower(), dtype.name.lower())

    def _batch_axis(self, call: Call, name: str) -> int | None:
        """The axis of a result that runs over the batch, followed from its first operand with one."""
        before = next((self._batch_axes.get(i) for i in call.inputs if i in self.dependent), None)
        sizes = self._shapes.get(name, ())
        if before is not None and not call.domain:
            before = self._moved(call, before, len(sizes))
        for axis in (0,) if before is None else dict.fromkeys((before, 0)):
            if axis < len(sizes) and self._is_batch(sizes[axis]):
                return axis
        return sizes.index(self.batch) if self.is_batch_open and self.batch in sizes else None

    def _moved(self, call: Call, axis: int, rank: int) -> int:
        """Return where an axis of the first operand is afterwards, if the call moves axes."""
        before = self.rank(call.operand(0))
        if call.op == "Transpose":
            perm: list[int] = call.attributes.get("perm", list(range(before))[::-1])
            return perm.index(axis) if axis in perm else axis
        if call.op in ("Squeeze", "Unsqueeze"):
            axes = call.attributes.get("axes") or self.constant(call.operand(1)) or ()
            wider = max(before, rank)
            places = {int(place) % wider for place in axes} if wider else set()
            if call.op == "Squeeze":
                return axis - sum(place < axis for place in places)
            kept = [place for place in range(wider) if place not in places]
            return kept[axis] if axis < len(kept) else axis
        if call.op == "Gather" and rank < before:
            return axis - int(call.attributes.get("axis", 0) % before < axis)
        return axis

    def _is_batch(self, size: int) -> bool:
        """A batch that the file left open may have been multiplied by the heads or windows of an example."""
        return size == self.batch or (self.is_batch_open and size > 0 and size % self.batch == 0)
