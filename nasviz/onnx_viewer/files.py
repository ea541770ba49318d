"""Open an untrusted ONNX file.

Checks come in the order of their cost: size, parsing, depth and counts, version, functions, the checker of
the `onnx` package, then its shape inference (`shapes`). No other file is opened, and weights are never read.
Parsing can take many times the size of the file (two bytes may become an object of a hundred), so do this
only in a disposable process with a limit on its memory: `nasviz.jobs.ViewOnnx`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasviz.errors import OnnxError
from nasviz.onnx_viewer.names import first_line, plain
from nasviz.onnx_viewer.shapes import OnnxFile, with_shapes

if TYPE_CHECKING:
    import onnx

__all__ = ["Limits", "open_onnx"]

MAX_NODES = 20_000
MAX_CALL_DEPTH = 50


@dataclass(frozen=True, slots=True)
class Limits:
    """What one file may hold."""

    num_bytes: int = 512 * 2**20
    items: int = 1_000_000
    """Messages and texts."""
    depth: int = 40
    """Messages inside messages; a graph inside a graph is three. The protobuf parser itself refuses 100."""


def open_onnx(path: Path | str, limits: Limits | None = None, *, name: str | None = None) -> OnnxFile:
    """Read, check and infer shapes; opens no other file. `name` is the file's name in errors.

    Raises:
        OnnxError: The file is no ONNX, damaged, too large, contradicts itself or needs other files.
    """
    limits = limits or Limits()
    data = _bytes(Path(path), limits, plain(name or Path(path).name))
    model = _parsed(data)
    _check_content(model, limits)
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
        raise OnnxError(f"{name} is larger than {limits.num_bytes // 2**20} MiB, the largest that is read")
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


def _check_content(model: onnx.ModelProto, limits: Limits) -> None:
    """Check depth, counts and text, and that no tensor keeps its numbers in another file."""
    num_items = 1
    waiting: list[tuple[Any, int]] = [(model, 1)]
    while waiting:
        message, depth = waiting.pop()
        if depth > limits.depth:
            raise OnnxError(f"this file nests graphs more than {limits.depth // 3} deep, too deep to display")
        for field, value in message.ListFields():
            if field.name == "external_data" or (field.name == "data_location" and value == message.EXTERNAL):
                raise OnnxError(
                    "this file keeps its weights in another file (external data), which is not opened; save"
                    " it again as a single file: torch.onnx.export(..., external_data=False), or"
                    " onnx.save(onnx.load(path), new_path)"
                )
            if field.type not in (field.TYPE_MESSAGE, field.TYPE_STRING):
                continue
            parts = (value,) if hasattr(value, "ListFields") or isinstance(value, str | bytes) else value
            num_items += len(parts)
            if num_items > limits.items:  # before any part becomes a Python object
                raise OnnxError(f"this file holds more than {limits.items:,} items, too many to display")
            if field.type == field.TYPE_MESSAGE:
                waiting += [(part, depth + 1) for part in parts]
            elif not all(isinstance(part, str) for part in parts):
                raise OnnxError(f"this file holds a name that is no text, in {field.full_name}")


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
    """Refuse functions that call one another and expand to too many nodes."""
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
                if len([s for s in sizes.values() if s is None]) > MAX_CALL_DEPTH:
                    raise OnnxError(
                        f"functions of this file call one another more than {MAX_CALL_DEPTH} deep"
                    )
                sizes[key] = size(_nodes(functions[key].node))
            inner = sizes[key]
            if inner is None:
                raise OnnxError(f"the function {plain(node.op_type)} of this file calls itself")
            total += inner
            if total > MAX_NODES:
                break
        if total > MAX_NODES:
            raise OnnxError(f"this file holds more than {MAX_NODES:,} operators: it is too large to display")
        return total

    size(_nodes(model.graph.node))


def _nodes(nodes: Any) -> Iterator[onnx.NodeProto]:
    """Yield these nodes and those of all graphs inside them."""
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
