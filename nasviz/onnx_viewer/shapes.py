"""Give every value of an ONNX graph a shape, whatever the file claims.

Sizes that the file leaves open get a number, large weights are forgotten, and the shape inference of the
`onnx` package runs until nothing new comes out (`folding` works out what a graph would compute).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

import onnx_ir as ir

from nasviz.errors import OnnxError
from nasviz.onnx_viewer.folding import fold_shapes
from nasviz.onnx_viewer.names import first_line, plain

if TYPE_CHECKING:
    import onnx

__all__ = ["LARGEST_CONSTANT", "OnnxFile", "shape_of", "with_shapes"]

LARGEST_CONSTANT = 1024
"""Numbers of a tensor that is kept with its values: shapes, axes, bounds."""
LONGEST_AXIS = 1 << 22
MOST_AXES = 16
MOST_ROUNDS = 300_000
"""Rounds of shape inference times nodes."""
OPEN_BATCH = 79
"""Stands for a batch that the file leaves open while shapes are inferred: no usual size of anything else."""
OPEN_IMAGE, OPEN_LENGTH = 224, 128
"""Stand for other sizes that the file leaves open."""


@dataclass(frozen=True, slots=True)
class OnnxFile:
    """A checked model, with a shape for every value that has one."""

    model: ir.Model
    batch: int
    """Size of the first axis of the inputs, as the shapes have it."""
    is_batch_open: bool
    """Whether the file left it open."""
    repeated: frozenset[str] = frozenset()
    """Vectors of one repeated number, as networks have before training; exporters store equal ones once."""
    notes: tuple[str, ...] = ()
    """What was assumed, in words."""

    @property
    def opset(self) -> int:
        """Version of the standard operators."""
        return max((v for domain, v in self.model.opset_imports.items() if _is_standard(domain)), default=0)


def with_shapes(model: onnx.ModelProto) -> OnnxFile:
    """Fix the sizes that are open, forget what others have claimed, infer all shapes anew."""
    graph = model.graph
    batch, is_open, notes = _settle_sizes(graph)
    custom = {name for node in graph.node if not _is_standard(node.domain) for name in node.output}
    claims = [value for value in graph.value_info if value.name in custom]
    kinds = [value for value in graph.value_info if value.name not in custom and value.metadata_props]
    del graph.value_info[:]
    graph.value_info.extend(claims)
    for output in graph.output:
        if output.type.tensor_type.shape.dim:
            output.type.tensor_type.shape.dim[0].Clear()
    repeated = frozenset(tensor.name for tensor in graph.initializer if _is_repeated(tensor))
    for tensor in graph.initializer:
        if prod(tensor.dims) > LARGEST_CONSTANT:
            for field in ("raw_data", "float_data", "double_data", "int32_data", "int64_data", "uint64_data"):
                tensor.ClearField(field)
    found = _inferred(model)
    _check_shapes(found.graph)
    known = {value.name: value for value in found.graph.value_info}
    for value in kinds:
        if value.name not in known:
            value.ClearField("type")
            found.graph.value_info.append(value)
        else:
            known[value.name].metadata_props.extend(value.metadata_props)
    try:
        read = ir.from_proto(found)
    except (ValueError, KeyError, TypeError, NotImplementedError) as error:
        raise OnnxError(f"this ONNX file cannot be read: {first_line(error)}") from None
    return OnnxFile(read, batch, is_open, repeated, notes)


def _inferred(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with all shapes; those that it would compute as it runs are worked out, as far as it goes.

    The inference of the `onnx` package could follow computed shapes itself, but without a bound: a shape that
    is joined with itself 30 times would fill the memory.
    """
    import onnx

    for _ in range(max(1, MOST_ROUNDS // len(model.graph.node))):
        try:
            found = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
        except (onnx.shape_inference.InferenceError, ValueError, RuntimeError, MemoryError) as error:
            raise OnnxError(
                f"the shapes in this ONNX file do not fit together: {first_line(error)}"
            ) from None
        values = (*found.graph.input, *found.graph.value_info, *found.graph.output)
        sizes = {value.name: shape_of(value) for value in values}
        if not any(-1 in (shape or ()) for shape in sizes.values()) or not fold_shapes(model, sizes):
            break
    return found


def shape_of(value: onnx.ValueInfoProto) -> tuple[int, ...] | None:
    """Sizes of a value, -1 for one that is not known; None for a value without a known number of axes."""
    if not value.type.HasField("tensor_type") or not value.type.tensor_type.HasField("shape"):
        return None
    dims = value.type.tensor_type.shape.dim
    return tuple(dim.dim_value if dim.HasField("dim_value") else -1 for dim in dims)


def _is_repeated(tensor: onnx.TensorProto) -> bool:
    """Return whether a vector holds one number over and over; only the usual form, bytes, is looked at."""
    length, size = prod(tensor.dims), len(tensor.raw_data)
    if length < 2 or length != max(tensor.dims) or not 2 <= size <= 2**20 or size % length:
        return False
    first = tensor.raw_data[: size // length]
    return bool(tensor.raw_data == first * length)


def _settle_sizes(graph: onnx.GraphProto) -> tuple[int, bool, tuple[str, ...]]:
    """Give every open size of an input a number, the same to the same symbol."""
    weights = {tensor.name for tensor in graph.initializer}
    numbers: dict[str, int] = {}
    batch, is_open, notes = 0, False, []
    for value in (v for v in graph.input if v.name not in weights):
        if not value.type.HasField("tensor_type"):
            raise OnnxError(f"the input {plain(value.name)} of this file is no tensor")
        if not value.type.tensor_type.HasField("shape"):
            raise OnnxError(f"the input {plain(value.name)} of this file has no shape: export it with one")
        dims = value.type.tensor_type.shape.dim
        for axis, dim in enumerate(dims):
            if dim.HasField("dim_value") and dim.dim_value > 0:
                number = dim.dim_value
            elif axis == 0:
                number = numbers.setdefault(dim.dim_param or "batch", batch or OPEN_BATCH)
                is_open = True
            else:
                usual = OPEN_IMAGE if len(dims) > 3 and axis > 1 else OPEN_LENGTH
                number = numbers.setdefault(dim.dim_param or f"{value.name} {axis}", usual)
                notes.append(f"axis {axis} of {plain(value.name)} is open and shown as {number}")
            dim.dim_value = number
            batch = batch or number
    return batch, is_open, tuple(notes)


def _check_shapes(graph: onnx.GraphProto) -> None:
    for value in (*graph.input, *graph.value_info, *graph.output):
        sizes = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        _check_sizes(value.name, sizes)
    for tensor in graph.initializer:
        _check_sizes(tensor.name, list(tensor.dims))


def _check_sizes(name: str, sizes: list[int]) -> None:
    if len(sizes) > MOST_AXES or max(sizes, default=0) > LONGEST_AXIS or min(sizes, default=0) < 0:
        shown = " x ".join(str(size) for size in sizes[:MOST_AXES])
        raise OnnxError(f"{plain(name)} of this file has the shape {shown}, which is too large to look at")


def _is_standard(domain: str) -> bool:
    return domain in ("", "ai.onnx")
