"""Exports of a network to ONNX and .pt2, verified by reading the file back.

An ONNX file is written by `torch.onnx.export` for any batch size, in evaluation mode; then it is checked by
onnx with shape inference, and run by onnxruntime against torch on two batch sizes. A .pt2 file of
`torch.export` holds the graph as JSON, the raw weights, and no example inputs. Only files written here are
read back, never files from elsewhere: a .pt2 file may contain pickles.
"""

from __future__ import annotations

import contextlib
import io
import logging
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from nasviz.errors import ExportError, require_type
from nasviz.extras import require_package
from nasviz.graph.operators.table import registered
from nasviz.guarded_files import (
    current_umask,
    refusal,
    replace_file,
    require_room,
    staging_folder,
    sync_file,
    sync_folder,
)
from nasviz.subnet.construct import Subnetwork
from nasviz.subnet.parity import arguments, example_inputs, recorded_inputs
from nasviz.trace.parity import preserve_state, require_module

__all__ = [
    "OnnxExport",
    "Pt2Export",
    "batch_axes",
    "export_arguments",
    "export_onnx",
    "export_pt2",
    "largest_difference",
    "one_more_sample",
    "tensors",
    "tolerance",
]


def export_arguments(module: nn.Module, inputs: Any) -> tuple[tuple[Any, ...], bool]:
    """Return arguments with a batch of two or more, and whether the batch may have any size.

    Raises:
        ExportError: `inputs` is left out, and the network does not know its own.
    """
    if inputs is not None:
        given = arguments(module, inputs)
        is_single = all(t.dim() and t.shape[0] == 1 for t in tensors(given))
        return (one_more_sample(given) if is_single else given), True
    known = recorded_inputs(module)
    if known is None or not isinstance(module, fx.GraphModule):
        raise ExportError(
            f"{type(module).__name__} does not know its inputs; pass a tensor or a tuple as `inputs=`"
        )
    return example_inputs(module, known), any(virtual.shape[:1] == (-1,) for virtual in known)


def tensors(values: Any) -> list[Tensor]:
    """Return the tensors in nested values, in order."""
    return [leaf for leaf in pytree.tree_leaves(values) if isinstance(leaf, Tensor)]


def one_more_sample(given: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the arguments with one more sample."""
    more: tuple[Any, ...] = pytree.tree_map(
        lambda leaf: torch.cat([leaf, leaf[:1]]) if _follows_batch(leaf, given) else leaf, given
    )
    return more


def batch_axes(given: tuple[Any, ...], *, is_batched: bool) -> Any:
    """Return the dynamic axes of every argument, in the form that `torch.export` expects."""
    batch = torch.export.Dim("batch", min=1)
    return pytree.tree_map(
        lambda leaf: {0: batch} if is_batched and _follows_batch(leaf, given) else None, given
    )


def tolerance(given: tuple[Any, ...]) -> float:
    """Return the relative difference up to which another program counts as equal."""
    is_double = any(tensor.dtype == torch.float64 for tensor in tensors(given))
    is_half = any(tensor.dtype in (torch.float16, torch.bfloat16) for tensor in tensors(given))
    return 1e-9 if is_double else 0.05 if is_half else 1e-3


def largest_difference(wanted: Sequence[Tensor], got: Sequence[Tensor], what: str) -> float:
    """Return the largest difference of two outputs, relative to the largest value of each tensor.

    Raises:
        ExportError: The shapes differ; `what` names the owner of `got`.
    """
    if [t.shape for t in wanted] != [t.shape for t in got]:
        raise ExportError(
            f"{what} returns shapes {[tuple(t.shape) for t in got]},"
            f" the network {[tuple(t.shape) for t in wanted]}"
        )
    pairs = zip(wanted, got, strict=True)
    return max((_relative(_to_double(w), _to_double(g)) for w, g in pairs), default=0.0)


def _follows_batch(leaf: Any, given: tuple[Any, ...]) -> bool:
    return isinstance(leaf, Tensor) and leaf.dim() > 0 and leaf.shape[0] == tensors(given)[0].shape[0]


def _to_double(value: Tensor) -> Tensor:
    return value.cpu().to(torch.complex128 if value.is_complex() else torch.float64)


def _relative(wanted: Tensor, got: Tensor) -> float:
    scale = float(wanted.abs().max()) if wanted.numel() else 0.0
    difference = float((wanted - got).abs().max()) if wanted.numel() else 0.0
    return difference / scale if scale else difference


_LARGEST_FILE = 1_900_000_000
"""Bytes of weights above which they are kept in a second file: protobuf limits a file to 2 GB."""


@dataclass(frozen=True, slots=True)
class OnnxExport:
    """A verified ONNX file."""

    path: Path
    max_relative_error: float
    """Largest difference of onnxruntime from torch over the largest value of an output."""
    size_bytes: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    opset: int
    num_nodes: int


def export_onnx(
    net: Subnetwork | nn.Module, path: str | Path, *, inputs: Any = None, simplify: bool = True
) -> OnnxExport:
    """Write a network to `path` as ONNX, in evaluation mode and for any batch size, and verify the file.

    Args:
        net: A sub-network, a traced or loaded network, or any module; it is not modified.
        path: Path of the file; its folder is created if necessary. On failure no new file is left.
        inputs: A tensor, a tuple of arguments or a dict of keyword arguments. Optional for networks that know
            their traced inputs.
        simplify: Fold batch norms into convolutions and constants; else every operator of the network stays.

    Raises:
        ExportError: The network cannot be exported, or the file does not compute the same.
        StorageError: The disk is full, or the folder is not writable; an old file is kept.
    """
    module, path = _module_and_path(net, path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with staging_folder(path.parent, ".export-") as folder, preserve_state(module), torch.no_grad():
            module.eval()
            given, is_batched = export_arguments(module, inputs)
            written = folder / path.name
            outputs = _output_names(module(*given))
            _write(module, given, is_batched, written, outputs, simplify)
            return _read_back(module, given, is_batched, written, path)
    except OSError as error:
        raise refusal(path, error) from error


def _module_and_path(net: Any, path: str | Path) -> tuple[nn.Module, Path]:
    """Return the module and the path of an export, after a check of both."""
    module = net.module if isinstance(net, Subnetwork) else net
    require_module("net", module)
    require_type("path", path, (str, Path), "the path of a file", "pass a str or a pathlib.Path")
    return module, Path(path)


def _read_back(
    module: nn.Module, given: tuple[Any, ...], is_batched: bool, written: Path, path: Path
) -> OnnxExport:
    """Check the written file, compare it with the network, and move it and its weights into place."""
    opset, names, num_nodes = _checked(written)
    feeds = (given, one_more_sample(given)) if is_batched else (given,)
    error = max(_difference(module, feed, written) for feed in feeds)
    if not error <= tolerance(given):
        raise ExportError(
            f"the ONNX file does not compute what the network computes: relative difference {error:.2e}"
        )
    size = sum(file.stat().st_size for file in written.parent.iterdir())
    outputs = tuple(_output_names(module(*given)))
    # Weights first: the file that refers to them must not appear before them.
    files = sorted(written.parent.iterdir(), key=lambda file: file == written)
    for file in files:
        sync_file(file)
        file.chmod(0o666 & ~current_umask())
    for file in files:
        file.replace(path.parent / file.name)
    sync_folder(path.parent)
    return OnnxExport(path, error, size, names, outputs, opset, num_nodes)


def _output_names(output: Any) -> dict[str, None]:
    """Return a name for every tensor of an output: its key if it has one."""
    names: dict[str, None] = {}
    for number, (keys, leaf) in enumerate(pytree.tree_flatten_with_path(output)[0]):
        if isinstance(leaf, Tensor):
            key = getattr(keys[-1], "key", getattr(keys[-1], "name", None)) if keys else "output"
            name = re.sub(r"\W", "_", str(key)) if isinstance(key, str) else f"output_{number}"
            names[name if name not in names else f"{name}_{number}"] = None
    return names


class _Flat(nn.Module):
    """A module whose output is a tuple of tensors."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, given: tuple[Any, ...]) -> tuple[Tensor, ...]:
        """Return all tensors of the output, in order."""
        return tuple(tensors(self.module(*given)))


def _write(
    module: nn.Module,
    given: tuple[Any, ...],
    is_batched: bool,
    path: Path,
    outputs: dict[str, None],
    simplify: bool,
) -> None:
    axes = batch_axes(given, is_batched=is_batched)
    require_package("onnxscript", "the export to ONNX")
    names = [f"input_{i}" for i in range(len(tensors(given)))] if len(tensors(given)) > 1 else ["input"]
    num_bytes = sum(p.numel() * p.element_size() for p in module.parameters())
    try:
        with _quiet(), _decomposed(module) as translations:
            torch.onnx.export(
                _Flat(module).eval(),
                (given,),
                path,
                dynamo=True,
                dynamic_shapes=(axes,),
                input_names=names,
                output_names=[name if name not in names else f"{name}_out" for name in outputs],
                external_data=num_bytes > _LARGEST_FILE,
                optimize=simplify,
                verbose=False,
                custom_translation_table=translations,
            )
    except Exception as error:  # torch.onnx and the converters may raise anything
        require_room(error)
        raise ExportError(f"torch.onnx cannot export {type(module).__name__}: {_reason(error)}") from error


@contextlib.contextmanager
def _decomposed(module: nn.Module) -> Iterator[dict[Any, Any] | None]:
    """Call the decompositions of registered operators in their place; return translations of the others."""
    networks = [part for part in module.modules() if isinstance(part, fx.GraphModule)]
    translations: dict[Any, Any] = {}
    replaced: list[tuple[fx.Node, Any]] = []
    for node in [node for network in networks for node in network.graph.nodes]:
        is_call = node.op == "call_function" and isinstance(node.target, torch._ops.OpOverload)
        found = registered(node.target._schema.name) if is_call else None
        if found is not None and found.onnx is not None:
            translations[node.target] = found.onnx
        elif found is not None and found.decomposition is not None:
            replaced.append((node, node.target))
            node.target = found.decomposition
    try:
        for network in networks if replaced else ():
            network.recompile()
        yield translations or None
    finally:
        for node, target in replaced:
            node.target = target
        for network in networks if replaced else ():
            network.recompile()


def _reason(error: BaseException) -> str:
    """Return the first line of the root cause; torch.onnx wraps it in instructions for bug reports."""
    while error.__cause__ is not None:
        error = error.__cause__
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the progress report of torch.onnx."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _checked(path: Path) -> tuple[int, tuple[str, ...], int]:
    """Validate a file, and return its opset, names of inputs and number of nodes."""
    onnx = require_package("onnx", "an ONNX file")
    try:
        onnx.checker.check_model(path, full_check=True)
        onnx.shape_inference.infer_shapes_path(
            path, path.with_suffix(".shapes"), check_type=True, strict_mode=True
        )
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(f"the ONNX file is not valid: {error}") from error
    path.with_suffix(".shapes").unlink()
    model = onnx.load(path, load_external_data=False)
    opset = max(item.version for item in model.opset_import if item.domain in ("", "ai.onnx"))
    return opset, tuple(value.name for value in model.graph.input), len(model.graph.node)


def _difference(module: nn.Module, given: tuple[Any, ...], path: Path) -> float:
    """Return the difference of onnxruntime from torch over the largest value of each output."""
    onnxruntime = require_package("onnxruntime", "the comparison with an ONNX file")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        arrays = {i.name: t.cpu().numpy() for i, t in zip(session.get_inputs(), tensors(given), strict=True)}
        got = [torch.from_numpy(array) for array in session.run(None, arrays)]
    except Exception as error:  # onnxruntime has no base class of its own errors
        raise ExportError(f"onnxruntime cannot run the ONNX file: {error}") from error
    return largest_difference(tensors(module(*given)), got, "the ONNX file")


@dataclass(frozen=True, slots=True)
class Pt2Export:
    """A verified .pt2 file."""

    path: Path
    max_relative_error: float
    """Largest difference of the program in the file from the network, over the largest value of an output."""
    size_bytes: int


def export_pt2(net: Subnetwork | nn.Module, path: str | Path, *, inputs: Any = None) -> Pt2Export:
    """Write a network to `path` by `torch.export`, in evaluation mode for any batch size, and verify it.

    `torch.export.load(path).module()` returns the network; it needs torch only.

    Args:
        net: A sub-network, a traced or loaded network, or any module; it is not modified.
        path: Path of the file, which must end in .pt2; on failure no new file is left.
        inputs: A tensor, a tuple of arguments or a dict of keyword arguments. Optional for networks that know
            their traced inputs.

    Raises:
        ExportError: The network cannot be exported, or the file does not compute the same.
        StorageError: The disk is full, or the folder is not writable; an old file is kept.
    """
    module, path = _module_and_path(net, path)
    if path.suffix != ".pt2":
        raise ExportError(f"{path.name} cannot be written: torch.export requires a name that ends in .pt2")
    with preserve_state(module), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module.eval()
        given, is_batched = export_arguments(module, inputs)
        content = _serialize(module, given, is_batched)
        program = torch.export.load(io.BytesIO(content)).module()
        feeds = (given, one_more_sample(given)) if is_batched else (given,)
        error = max(
            largest_difference(tensors(module(*feed)), tensors(program(*feed)), "the .pt2 file")
            for feed in feeds
        )
        if not error <= tolerance(given):
            raise ExportError(
                f"the .pt2 file does not compute what the network computes: relative difference {error:.2e}"
            )
    replace_file(path, content)
    return Pt2Export(path, error, len(content))


def _serialize(module: nn.Module, given: tuple[Any, ...], is_batched: bool) -> bytes:
    axes = batch_axes(given, is_batched=is_batched)
    try:
        program = torch.export.export(module, given, dynamic_shapes=tuple(axes))
        program.example_inputs = None
        content = io.BytesIO()
        torch.export.save(program, content)
    except Exception as error:  # torch.export may raise anything
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise ExportError(f"torch.export cannot export {type(module).__name__}: {reason}") from error
    return content.getvalue()
