"""Open an ONNX file that nobody vouches for.

Checks come in the order of what they cost: size, wire format (`wire`), version, functions, the checker
of the `onnx` package, then its shape inference (`shapes`). No other file is opened, and weights are
never looked at. Only a process that may be lost should do this.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasviz.errors import OnnxError
from nasviz.onnx_viewer.names import first_line, plain
from nasviz.onnx_viewer.shapes import OnnxFile, with_shapes
from nasviz.onnx_viewer.wire import Limits, weigh

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx

__all__ = ["open_onnx"]

MOST_NODES = 20_000


def open_onnx(path: Path | str, limits: Limits | None = None, *, name: str | None = None) -> OnnxFile:
    """Read, check and infer shapes; opens no other file. `name` is what errors call it.

    Raises:
        OnnxError: The file is no ONNX, damaged, too large, contradicts itself or needs other files.
    """
    import onnx

    limits = limits or Limits()
    data = _bytes(Path(path), limits, plain(name or Path(path).name))
    weigh(data, onnx.ModelProto.DESCRIPTOR, limits)
    model = _parsed(data)
    _check_version(model)
    _check_functions(model)
    _check(data)
    del data
    return with_shapes(_inlined(model))


def _bytes(path: Path, limits: Limits, name: str) -> bytes:
    if not path.is_file():
        raise OnnxError(f"there is no file {name}")
    with path.open("rb") as file:
        data = file.read(limits.num_bytes + 1)
    if not data:
        raise OnnxError(f"{name} is empty")
    if len(data) > limits.num_bytes:
        raise OnnxError(f"{name} is larger than {limits.num_bytes // 2**20} MiB, the most to look at")
    if data.startswith((b"PK\x03\x04", b"\x1f\x8b")):
        raise OnnxError(f"{name} is an archive, not ONNX: unpack it, or export it with torch.onnx")
    return data


def _parsed(data: bytes) -> onnx.ModelProto:
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError as error:
        raise OnnxError(f"this is no ONNX file, or it is damaged: {first_line(error)}") from None
    return model


def _check_version(model: onnx.ModelProto) -> None:
    import onnx

    if not model.graph.node:
        raise OnnxError("this file holds no operators: it is no ONNX file, or an empty one")
    if not 3 <= model.ir_version <= onnx.IR_VERSION:
        raise OnnxError(
            f"this file is of IR version {model.ir_version}, but onnx {onnx.__version__} reads 3 to"
            f" {onnx.IR_VERSION}: export it again"
        )
    if model.graph.sparse_initializer:
        raise OnnxError("this file holds sparse weights, which cannot be shown: store them dense")


def _check_functions(model: onnx.ModelProto) -> None:
    """Refuse functions that call one another into more nodes than anybody could look at."""
    functions = {(f.domain, f.name, f.overload): f for f in model.functions}
    sizes: dict[tuple[str, str, str], int | None] = {}

    def size(nodes: Iterator[onnx.NodeProto]) -> int:
        total = 0
        for node in nodes:
            key = (node.domain, node.op_type, node.overload)
            if key not in functions:
                total += 1
                continue
            if key not in sizes:
                sizes[key] = None
                if len([s for s in sizes.values() if s is None]) > 50:
                    raise OnnxError("functions of this file call one another more than 50 deep")
                sizes[key] = size(_nodes(functions[key].node))
            inner = sizes[key]
            if inner is None:
                raise OnnxError(f"the function {plain(node.op_type)} of this file calls itself")
            total += inner
            if total > MOST_NODES:
                break
        if total > MOST_NODES:
            raise OnnxError(f"this file holds more than {MOST_NODES:,} operators: it is too large to look at")
        return total

    size(_nodes(model.graph.node))


def _nodes(nodes: Any) -> Iterator[onnx.NodeProto]:
    """These nodes and those of all graphs inside them."""
    waiting = [nodes]
    while waiting:
        for node in waiting.pop():
            yield node
            for attribute in node.attribute:
                waiting += [graph.node for graph in (attribute.g, *attribute.graphs)]


def _check(data: bytes) -> None:
    from onnx import checker

    try:
        checker.check_model(data)
    except (checker.ValidationError, ValueError, RuntimeError) as error:
        raise OnnxError(f"this ONNX file is not valid: {first_line(error)}") from None


def _inlined(model: onnx.ModelProto) -> onnx.ModelProto:
    if not model.functions:
        return model
    from onnx import inliner

    try:
        return inliner.inline_local_functions(model)
    except (ValueError, RuntimeError) as error:
        raise OnnxError(f"functions of this ONNX file cannot be resolved: {first_line(error)}") from None
