"""Exports of a network to ONNX and .pt2, verified by reading the file back.

An ONNX file is written by `torch.onnx.export` with the free axes of the network, in evaluation mode; then it
is checked by onnx with shape inference, and run by onnxruntime against torch at two sizes. A .pt2 file of
`torch.export` holds the graph as JSON, the raw weights, and no example inputs. Only files written here are
read back, never files from elsewhere: a .pt2 file may contain pickles.
"""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

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
from nasviz.trace.export import follow_sizes, follows_batch
from nasviz.trace.free_axes import first_line
from nasviz.trace.network import BATCH, is_within, known_description
from nasviz.trace.parity import leaf_paths, preserve_state, require_module

__all__ = [
    "OPSETS",
    "OnnxExport",
    "Pt2Export",
    "export_arguments",
    "export_onnx",
    "export_pt2",
    "largest_difference",
    "tensors",
    "tolerance",
]


Axes = list[dict[int, Any]]
"""Free axes of every tensor of the arguments in order, with their labels."""


def export_arguments(module: nn.Module, inputs: Any, free_axes: Any = None) -> tuple[tuple[Any, ...], Axes]:
    """Return arguments with a batch of two or more, and their free axes.

    Raises:
        ExportError: `inputs` is left out, and the network does not know its own; or an axis of `free_axes` is
            fixed.
    """
    known = recorded_inputs(module)
    if inputs is not None:
        given = arguments(module, inputs)
    elif known is None or not isinstance(module, fx.GraphModule):
        raise ExportError(
            f"{type(module).__name__} does not know its inputs; pass a tensor or a tuple as `inputs=`"
        )
    else:
        given = example_inputs(module, known)
    described = known_description(module.graph) if isinstance(module, fx.GraphModule) else None
    first = tensors(given)[0] if tensors(given) else torch.empty(0)
    axes = [{0: BATCH} if follows_batch(t, [first], 0) else {} for t in tensors(given)]
    if described is not None:
        axes = [labels for _, labels in _described(given, described)]
    names = [name for name, _ in _described(given, described)] if described is not None else []
    axes = _chosen(
        axes, free_axes, names or [str(number) for number in range(len(axes))], known=bool(described)
    )
    if all(t.dim() and t.shape[0] == 1 for t in tensors(given)) and any(0 in labels for labels in axes):
        given = _resized(given, [{0: 2} if 0 in labels else {} for labels in axes])
    return given, axes


def _described(given: tuple[Any, ...], described: Mapping[str, Any]) -> list[tuple[str, dict[int, Any]]]:
    """Return the argument and the labels of the free axes of every tensor in `given`."""
    found = []
    for (name, description), value in zip(described.items(), given, strict=False):
        for path, leaf in leaf_paths(value):
            part = description
            for step in path:
                part = part[1] if isinstance(part, tuple) and part[0] == "object" else part
                part = part[step.key]
            if isinstance(leaf, Tensor):
                sizes = part[1] if len(part) == 2 and isinstance(part[1], tuple) else ()
                free = {axis: size for axis, size in enumerate(sizes) if not isinstance(size, int)}
                found.append((name, free))
    return found


def _chosen(axes: Axes, wanted: Any, names: list[str], *, known: bool) -> Axes:
    """Return those of the free axes that are `wanted`, by argument or for all of them.

    Raises:
        ExportError: One of them is fixed in a network that was traced.
    """
    if wanted is None:
        return axes
    if isinstance(wanted, Mapping) and (odd := wanted.keys() - set(names)):
        raise ExportError(f"free_axes names {', '.join(map(str, odd))}; the inputs are {', '.join(names)}")
    chosen: Axes = []
    for name, labels in zip(names, axes, strict=True):
        these = wanted.get(name, ()) if isinstance(wanted, Mapping) else wanted
        more = {axis: f"size_{name}_{axis}" for axis in these if axis not in labels}
        if more and known:
            raise ExportError(
                f"axis {min(more)} of {name} is fixed in this network; its free axes are {sorted(labels)},"
                " and net.parity.fixed_axes of the traced network says why"
            )
        chosen.append({axis: label for axis, label in labels.items() if axis in these} | more)
    return chosen


def tensors(values: Any) -> list[Tensor]:
    """Return the tensors in nested values, in order."""
    return [leaf for leaf in pytree.tree_leaves(values) if isinstance(leaf, Tensor)]


def _by_tensor(given: tuple[Any, ...], values: Sequence[Any], other: Any = None) -> Any:
    """Return `given` with these values in place of its tensors, and `other` in place of the rest."""
    rest = iter(values)
    return pytree.tree_map(lambda leaf: next(rest) if isinstance(leaf, Tensor) else other, given)


def _resized(given: tuple[Any, ...], sizes: Sequence[Mapping[int, int]]) -> tuple[Any, ...]:
    """Return the arguments with other sizes along some axes; values are repeated."""
    rest = iter(sizes)

    def resized(leaf: Any) -> Any:
        for axis, size in next(rest).items() if isinstance(leaf, Tensor) else ():
            index = torch.arange(size, device=leaf.device) % leaf.shape[axis]
            leaf = leaf.index_select(axis, index)
        return leaf

    made: tuple[Any, ...] = pytree.tree_map(resized, given)
    return made


def _feeds(module: nn.Module, given: tuple[Any, ...], axes: Axes) -> list[tuple[Any, ...]]:
    """Return the arguments, and the same at another size of each free axis.

    Raises:
        ExportError: The network takes no other sizes.
    """
    found, labels = [given], dict.fromkeys(label for free in axes for label in free.values())
    if not labels:
        return found
    for step in (1, 32):  # 32: networks that halve their input five times
        more: dict[Any, int] = {}
        for number, label in enumerate(labels):
            places = [(t, axis) for t, free in enumerate(axes) for axis in free if free[axis] == label]
            old = tensors(given)[places[0][0]].shape[places[0][1]]
            start = old + (1 if _text(label) == BATCH else step * (1 + number % 2))
            sizes = (*range(start, 4 * start), *range(old - 1, 0, -1))
            more[label] = next((n for n in sizes if is_within(n, label)), old)
        other = _resized(given, [{axis: more[label] for axis, label in free.items()} for free in axes])
        with contextlib.suppress(Exception):  # the network does not take this size
            module(*other)
            return [*found, other]
    raise ExportError(
        f"{type(module).__name__} takes no other sizes of its free axes; pass free_axes= with fewer of them"
    )


def _dims(given: tuple[Any, ...], axes: Axes) -> Any:
    """Return the dynamic axes of every argument, in the form that `torch.export` expects."""
    labels = [label for free in axes for label in free.values() if _text(label) == BATCH]
    batch = torch.export.Dim(
        "batch", min=max((size[1] for size in labels if isinstance(size, tuple)), default=1)
    )
    dims = [
        {axis: batch if _text(label) == BATCH else torch.export.Dim.AUTO for axis, label in free.items()}
        or None
        for free in axes
    ]
    return _by_tensor(given, dims)


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
    free_axes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Axes of each input that may have other sizes; without `free_axes=`, as many as the file could hold."""


OPSETS = range(13, 21)
"""Versions of ONNX that a file may have; those below 18 are written by the older exporter of torch."""
_FIRST_OF_DYNAMO = 18


def export_onnx(
    net: Subnetwork | nn.Module,
    path: str | Path,
    *,
    inputs: Any = None,
    simplify: bool = True,
    opset: int = 20,
    free_axes: Mapping[str, Sequence[int]] | Sequence[int] | None = None,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    dtype: torch.dtype | None = None,
) -> OnnxExport:
    """Write a network to `path` as ONNX, in evaluation mode, and verify the file at two sizes.

    Weights of more than 1.9 GB are written to a second file in the same folder.

    Args:
        net: A sub-network, a traced or loaded network, or any module; it is not modified.
        path: Path of the file; its folder is created if necessary. On failure no new file is left.
        inputs: A tensor, a tuple of arguments or a dict of keyword arguments. Optional for networks that know
            their traced inputs.
        simplify: Fold batch norms into convolutions and constants; else every operator of the network stays,
            which needs opset 18 or later.
        opset: Version of the operators, 13 to 20.
        free_axes: Axes that may have other sizes, for all inputs or by the name of an argument. By default
            all free axes of a network that was traced, else the batch.
        input_names: Names of the tensors of the input, in order.
        output_names: Names of the tensors of the output, in order.
        dtype: Floating-point type of the weights, inputs and outputs in the file, such as `torch.float16`.

    Raises:
        ExportError: The network cannot be exported, an axis or a name does not fit, or the file does not
            compute the same.
        StorageError: The disk is full, or the folder is not writable; an old file is kept.
    """
    module, path = _module_and_path(net, path)
    if opset not in OPSETS:
        raise ExportError(f"opset={opset!r} is not supported; choose {OPSETS.start} to {OPSETS.stop - 1}")
    if not simplify and opset < _FIRST_OF_DYNAMO:
        raise ExportError(
            f"a file of opset {opset} is always simplified; use opset {_FIRST_OF_DYNAMO} or later"
        )
    if dtype is not None and not dtype.is_floating_point:
        raise ExportError(f"dtype={dtype} is not a floating-point type, such as torch.float16")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with staging_folder(path.parent, ".export-") as folder, preserve_state(module), torch.no_grad():
            given, axes = export_arguments(module, inputs, free_axes)
            if dtype is not None:
                module = copy.deepcopy(module).to(dtype)
                given = pytree.tree_map(lambda x: x.to(dtype) if _is_floating(x) else x, given)
            module.eval()
            written = folder / path.name
            names = _names(tensors(given), input_names, "input")
            outputs = _names(tensors(module(*given)), output_names, _output_names(module(*given)))
            outputs = [name if name not in names else f"{name}_out" for name in outputs]

            def write(axes: Axes) -> OnnxExport:
                feeds = _feeds(module, given, axes)
                _write(module, given, axes, written, (names, outputs), simplify=simplify, opset=opset)
                free = {name: tuple(labels) for name, labels in zip(names, axes, strict=True)}
                return _read_back(module, feeds, written, path, tuple(outputs), free)

            return _with_fewer_axes(write, axes, is_chosen=free_axes is not None)
    except OSError as error:
        raise refusal(path, error) from error


ResultT = TypeVar("ResultT")


def _with_fewer_axes(write: Callable[[Axes], ResultT], axes: Axes, *, is_chosen: bool) -> ResultT:
    """Return what `write` returns for all free axes, or for the batch alone if it cannot hold the others."""
    batch = [{a: label for a, label in free.items() if _text(label) == BATCH} for free in axes]
    if is_chosen or batch == axes:
        return write(axes)
    try:
        return write(axes)
    except ExportError:
        return write(batch)


def _is_floating(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


def _names(values: list[Tensor], wanted: Sequence[str] | None, default: Any) -> list[str]:
    """Return a name for each of `values`.

    Raises:
        ExportError: `wanted` has another number of names, or one of them twice.
    """
    if wanted is not None:
        if len(wanted) != len(values) or len(set(wanted)) < len(wanted) or not all(wanted):
            raise ExportError(f"{list(wanted)} are not {len(values)} different names, one for each tensor")
        return list(wanted)
    if not isinstance(default, str):
        return list(default)
    return [f"{default}_{number}" for number in range(len(values))] if len(values) > 1 else [default]


def _module_and_path(net: Any, path: str | Path) -> tuple[nn.Module, Path]:
    """Return the module and the path of an export, after a check of both."""
    module = net.module if isinstance(net, Subnetwork) else net
    require_module("net", module)
    require_type("path", path, (str, Path), "the path of a file", "pass a str or a pathlib.Path")
    return module, Path(path)


def _read_back(
    module: nn.Module,
    feeds: list[tuple[Any, ...]],
    written: Path,
    path: Path,
    outputs: tuple[str, ...],
    free: dict[str, tuple[int, ...]],
) -> OnnxExport:
    """Check the written file, compare it with the network, and move it and its weights into place."""
    opset, names, num_nodes = _checked(written)
    error = max(_difference(module, feed, written) for feed in feeds)
    if not error <= tolerance(feeds[0]):
        raise ExportError(
            f"the ONNX file does not compute what the network computes: relative difference {error:.2e}"
        )
    size = sum(file.stat().st_size for file in written.parent.iterdir())
    # Weights first: the file that refers to them must not appear before them.
    files = sorted(written.parent.iterdir(), key=lambda file: file == written)
    for file in files:
        sync_file(file)
        file.chmod(0o666 & ~current_umask())
    for file in files:
        file.replace(path.parent / file.name)
    sync_folder(path.parent)
    return OnnxExport(path, error, size, names, outputs, opset, num_nodes, free)


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


class _Unpacked(nn.Module):
    """A module that takes its tensors one by one, as the older exporter of torch expects."""

    def __init__(self, module: nn.Module, given: tuple[Any, ...]) -> None:
        super().__init__()
        self.module = module
        self.leaves, self.spec = pytree.tree_flatten(given)

    def forward(self, *values: Tensor) -> tuple[Tensor, ...]:
        """Return all tensors of the output, in order."""
        rest = iter(values)
        leaves = [next(rest) if isinstance(leaf, Tensor) else leaf for leaf in self.leaves]
        return tuple(tensors(self.module(*pytree.tree_unflatten(leaves, self.spec))))


def _write(
    module: nn.Module,
    given: tuple[Any, ...],
    axes: Axes,
    path: Path,
    names: tuple[list[str], list[str]],
    *,
    simplify: bool,
    opset: int,
) -> None:
    require_package("onnxscript", "the export to ONNX")
    if opset < _FIRST_OF_DYNAMO:
        _write_older(module, given, axes, path, names, opset)
        return
    # A text becomes the name of the axis in the file.
    labels = [{a: _text(label) for a, label in free.items()} or None for free in axes]
    num_bytes = sum(p.numel() * p.element_size() for p in module.parameters())
    try:
        with _quiet(), _decomposed(module) as translations:
            torch.onnx.export(
                _Flat(module).eval(),
                (given,),
                path,
                dynamo=True,
                dynamic_shapes=(_by_tensor(given, labels),),
                input_names=names[0],
                output_names=names[1],
                opset_version=opset,
                external_data=num_bytes > _LARGEST_FILE,
                optimize=simplify,
                verbose=False,
                custom_translation_table=translations,
            )
    except Exception as error:  # torch.onnx and the converters may raise anything
        require_room(error)
        raise ExportError(f"torch.onnx cannot export {type(module).__name__}: {_reason(error)}") from error


def _text(label: Any) -> str:
    """Return the name of a free axis."""
    return str(label[0] if isinstance(label, tuple) else label)


def _write_older(
    module: nn.Module,
    given: tuple[Any, ...],
    axes: Axes,
    path: Path,
    names: tuple[list[str], list[str]],
    opset: int,
) -> None:
    """Write a file of an older opset: the converter from 18 down fails for common operators."""
    free = {
        name: {axis: _text(label) for axis, label in labels.items()}
        for name, labels in zip(names[0], axes, strict=True)
    }
    try:
        with _quiet(), _decomposed(module), _replaced_targets(module, lambda node: _older(node, opset)):
            torch.onnx.export(
                _Unpacked(module, given).eval(),
                tuple(tensors(given)),
                path,
                dynamo=False,
                dynamic_axes=free,
                input_names=names[0],
                output_names=names[1],
                opset_version=opset,
                verbose=False,
            )
    except Exception as error:  # torch.onnx may raise anything
        require_room(error)
        raise ExportError(
            f"torch.onnx cannot export {type(module).__name__} for opset {opset}: {_reason(error)}; opset"
            f" {_FIRST_OF_DYNAMO} and later are written by another exporter"
        ) from error


@contextlib.contextmanager
def _replaced_targets(module: nn.Module, other: Callable[[fx.Node], Any]) -> Iterator[None]:
    """Make the calls of all graphs in `module` call what `other` returns, where it returns something."""
    networks = [part for part in module.modules() if isinstance(part, fx.GraphModule)]
    calls = [n for network in networks for n in network.graph.nodes if n.op == "call_function"]
    others = [(node, other(node)) for node in calls]  # `other` may look at the calls before
    replaced = [(node, node.target) for node, function in others if function is not None]
    for node, function in others:
        node.target = node.target if function is None else function
    try:
        for network in networks if replaced else ():
            network.recompile()
        yield
    finally:
        for node, target in replaced:
            node.target = target
        for network in networks if replaced else ():
            network.recompile()


def _older(node: fx.Node, opset: int) -> Callable[..., Any] | None:
    """Return a function that the older exporter can follow in place of an operator.

    An operator of `torch.ops` takes sizes as numbers; methods of tensors keep where a size comes from.
    """
    overload = node.target
    if not isinstance(overload, torch._ops.OpOverload):
        return {torch.sym_max: torch.maximum, torch.sym_min: torch.minimum}.get(overload)  # type: ignore[arg-type]
    name = overload._schema.name.removeprefix("aten::")
    if name == "sym_size":
        return Tensor.size
    if name == "scaled_dot_product_attention" and opset < 14:
        return _attention  # opset 13 has no translation of it
    if not any(_is_size(operand) for operand in node.all_input_nodes):
        return None
    return _slice if name == "slice" else getattr(Tensor, name, None) or getattr(torch, name, None)


def _is_size(node: fx.Node) -> bool:
    """Return whether a node computes with sizes alone."""
    if node.op != "call_function":
        return False
    if node.target is torch.ops.aten.sym_size.int:
        return True
    is_python = getattr(node.target, "__module__", "") == "_operator" or node.target in (
        torch.sym_max,
        torch.sym_min,
    )
    return is_python and all(_is_size(operand) for operand in node.all_input_nodes)


def _slice(x: Tensor, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Tensor:
    """Return a part of `x` along one axis."""
    return x[(slice(None),) * (dim % x.dim()) + (slice(start, end, step),)]


def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Return `scaled_dot_product_attention` without dropout."""
    factor = query.shape[-1] ** -0.5 if scale is None else scale
    if enable_gqa:
        key = key.repeat_interleave(query.shape[-3] // key.shape[-3], -3)
        value = value.repeat_interleave(query.shape[-3] // value.shape[-3], -3)
    scores = query @ key.transpose(-2, -1) * factor
    if is_causal:
        # A product instead of an infinity: 0 * inf is not a number.
        places = torch.ones_like(scores[..., :1]).cumsum(-2) - torch.ones_like(scores[..., :1, :]).cumsum(-1)
        scores = scores + places.clamp(-1, 0) * 1e9
    if attn_mask is not None:
        scores = scores.masked_fill(~attn_mask, -1e9) if attn_mask.dtype == torch.bool else scores + attn_mask
    return scores.softmax(-1) @ value


@contextlib.contextmanager
def _decomposed(module: nn.Module) -> Iterator[dict[Any, Any] | None]:
    """Call the decompositions of registered operators in their place; return translations of the others."""
    translations: dict[Any, Any] = {}

    def other(node: fx.Node) -> Any:
        found = (
            registered(node.target._schema.name) if isinstance(node.target, torch._ops.OpOverload) else None
        )
        if found is not None and found.onnx is not None:
            translations[node.target] = found.onnx
            return None
        return None if found is None else found.decomposition

    with _replaced_targets(module, other):
        yield translations or None


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
    torch._C._jit_set_onnx_log_enabled(False)  # the older exporter prints the graph that it could not finish
    try:
        silent = contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO())
        with warnings.catch_warnings(), silent[0], silent[1]:
            warnings.simplefilter("ignore")
            yield
    finally:
        torch._C._jit_set_onnx_log_enabled(True)
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
    options.log_severity_level = 4
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
    """Write a network to `path` by `torch.export`, in evaluation mode, and verify it at two sizes.

    The file keeps the free axes of the network, or its batch alone if it cannot hold the others.
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
        given, axes = export_arguments(module, inputs)
        content, error = _with_fewer_axes(lambda axes: _pt2(module, given, axes), axes, is_chosen=False)
    replace_file(path, content)
    return Pt2Export(path, error, len(content))


def _pt2(module: nn.Module, given: tuple[Any, ...], axes: Axes) -> tuple[bytes, float]:
    """Return the content of a .pt2 file and its largest difference from the network."""
    feeds, content = _feeds(module, given, axes), _serialize(module, given, axes)
    program = torch.export.load(io.BytesIO(content)).module()
    try:
        got = [tensors(program(*feed)) for feed in feeds]
    except Exception as error:  # its own checks of the inputs
        raise ExportError(f"the .pt2 file takes no other size: {first_line(error)}") from error
    difference = max(
        largest_difference(tensors(module(*feed)), values, "the .pt2 file")
        for feed, values in zip(feeds, got, strict=True)
    )
    if not difference <= tolerance(given):
        raise ExportError(
            f"the .pt2 file does not compute what the network computes: relative difference {difference:.2e}"
        )
    return content, difference


def _serialize(module: nn.Module, given: tuple[Any, ...], axes: Axes) -> bytes:
    try:
        with follow_sizes():
            program = torch.export.export(module, given, dynamic_shapes=tuple(_dims(given, axes)))
        program.example_inputs = None
        content = io.BytesIO()
        torch.export.save(program, content)
    except Exception as error:  # torch.export may raise anything
        raise ExportError(
            f"torch.export cannot export {type(module).__name__}: {first_line(error)}"
        ) from error
    return content.getvalue()
