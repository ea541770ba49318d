"""Export of a network to ONNX, verified by reading the file back.

The file is written by `torch.onnx.export` for any batch size, in evaluation mode; then it is checked by onnx
with shape inference, and run by onnxruntime against torch on two batch sizes.
"""

from __future__ import annotations

import contextlib
import io
import logging
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from nasviz.errors import ExportError, require_type
from nasviz.graph.operators.registration import registered
from nasviz.guarded_files import current_umask, refusal, require_room, staging_folder, sync_file, sync_folder
from nasviz.subnet.construct import Subnetwork
from nasviz.subnet.reading_back import (
    batch_axes,
    export_arguments,
    largest_difference,
    one_more_sample,
    tensors,
    tolerance,
)
from nasviz.trace.state import preserve_state, require_module

__all__ = ["OnnxExport", "export_onnx"]

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
    module = net.module if isinstance(net, Subnetwork) else net
    require_module("net", module)
    require_type("path", path, (str, Path), "the path of a file", "pass a str or a pathlib.Path")
    path = Path(path)
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
    import onnx

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
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        arrays = {i.name: t.cpu().numpy() for i, t in zip(session.get_inputs(), tensors(given), strict=True)}
        got = [torch.from_numpy(array) for array in session.run(None, arrays)]
    except Exception as error:  # onnxruntime has no base class of its own errors
        raise ExportError(f"onnxruntime cannot run the ONNX file: {error}") from error
    return largest_difference(tensors(module(*given)), got, "the ONNX file")
