"""Outputs of the user's module before it is traced, and a proof of which input axes may take other sizes.

The graph of an export with symbols for sizes computes with every size that torch could keep free: such an
axis is free if the traced network agrees with the model at a second size. In a graph with numbers for sizes
an axis is proven free if both agree at a second size, and the model's own code read the same sizes in both
runs. Then no Python branch and no literal depended on that axis; the rest are operators, which take any size.
"""

from __future__ import annotations

import dis
import io
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import redirect_stderr, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from nasviz.errors import ArgumentError, TraceError
from nasviz.trace.export import Program, fixed_size, follows_batch, size_at, size_bounds, value_of
from nasviz.trace.module_recovery import error_location
from nasviz.trace.network import is_within
from nasviz.trace.parity import (
    ModelOutputs,
    ParityInputs,
    compare,
    compute_outputs,
    compute_training_outputs,
    preserve_state,
    register_classes,
)

__all__ = [
    "Axis",
    "SizeReads",
    "agrees_at_other_sizes",
    "as_arguments",
    "double_batch",
    "expected_outputs",
    "first_line",
    "prove_free_axes",
    "proven_from",
    "reason_of_images",
    "symbolic_axes",
    "takes_single",
]

_TORCH = str(Path(torch.__file__).parent)
_SHAPE: Any = Tensor.shape.__get__  # type: ignore[attr-defined]
_COUNTS = (Tensor.numel, Tensor.nelement, torch.numel, Tensor.__len__, Tensor.stride)
_LARGE = 64
"""Axes of at least this size are halved for the second run; shorter ones copy_module_tree."""

_WORDS = {1: "width", 2: "height", 3: "depth"}

Axis = tuple[int, int]
"""Index of a tensor among all inputs, and one of its axes."""


class SizeReads(TorchFunctionMode):
    """Mode that collects every tensor size that Python code outside of torch reads.

    Examples:
        >>> with SizeReads() as sizes:
        ...     rows = torch.zeros(2, 3).shape[0]
        >>> sizes.found
        [2]
    """

    def __init__(self) -> None:
        super().__init__()
        self.found: list[int] = []

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Call `func`, and collect the sizes that its result reveals."""
        result = func(*_plain(args), **{key: _plain(value) for key, value in (kwargs or {}).items()})
        if isinstance(result, torch.Size):
            return result if _is_torch(sys._getframe(1)) else _Sizes(result, self.found)
        if isinstance(result, tuple | list):  # the number of pieces may depend on a size
            self.found.append(len(result))
        elif func in _COUNTS or func is Tensor.size:
            self.found += [] if _is_torch(sys._getframe(1)) else [int(result)]
        return result


class _Sizes(tuple[int, ...]):
    """Sizes of a tensor, which record the ones that are read."""

    _found: list[int]

    def __new__(cls, sizes: Iterable[int], found: list[int]) -> _Sizes:
        made = super().__new__(cls, sizes)
        made._found = found
        return made

    def _all(self) -> torch.Size:
        self._found.extend(tuple.__iter__(self))
        return torch.Size(tuple.__iter__(self))

    def __getitem__(self, index: Any) -> Any:
        value = tuple.__getitem__(self, index)
        if isinstance(value, tuple):
            return _Sizes(value, self._found)
        self._found.append(value)
        return value

    def __iter__(self) -> Iterator[int]:
        used = _used_parts(sys._getframe(1), len(self))
        values = list(tuple.__iter__(self))
        self._found.extend(value for value, is_used in zip(values, used, strict=True) if is_used)
        return iter(values)

    def numel(self) -> int:
        """Return the number of values."""
        return math.prod(self._all())

    def __add__(self, other: Any) -> Any:
        return self._all() + tuple(other)

    def __radd__(self, other: Any) -> Any:
        return tuple(other) + self._all()

    def __mul__(self, other: Any) -> Any:
        return self._all() * other

    def __eq__(self, other: object) -> bool:
        return bool(self._all() == (tuple(other) if isinstance(other, tuple | list) else other))

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __lt__(self, other: Any) -> bool:
        return bool(self._all() < tuple(other))

    def __gt__(self, other: Any) -> bool:
        return bool(self._all() > tuple(other))

    def __hash__(self) -> int:
        return hash(self._all())

    def __contains__(self, value: object) -> bool:
        return value in self._all()


def _plain(value: Any) -> Any:
    """Return the arguments, with all sizes in them marked as read."""
    if isinstance(value, _Sizes):
        return value._all()
    if type(value) in (tuple, list):
        return type(value)(_plain(item) for item in value)
    return value


def _is_torch(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith(_TORCH)


def _used_parts(frame: FrameType, count: int) -> list[bool]:
    """Return which targets of an unpacking are used: in `b, c, h, w = x.shape`, `h` and `w` often are not.

    Reads the byte code of CPython; any unknown pattern counts as used.
    """
    code, place = frame.f_code, frame.f_lasti
    instructions = list(dis.get_instructions(code))
    start = next((i for i, found in enumerate(instructions) if found.offset == place), None)
    if start is None or instructions[start].opname != "UNPACK_SEQUENCE":
        return [True] * count
    names: list[str] = []
    for instruction in instructions[start + 1 : start + 1 + count]:
        if not instruction.opname.startswith("STORE_FAST"):
            break
        value = instruction.argval
        names += list(value) if isinstance(value, tuple) else [value]
        if not all(part == "STORE" or part == "FAST" for part in instruction.opname.split("_")):
            return [True] * count
    if len(names) < count:
        return [True] * count
    read: set[str] = {*code.co_cellvars}
    for instruction in instructions:
        if instruction.opname.startswith(("LOAD", "DELETE")):
            value = instruction.argval
            read |= set(value) if isinstance(value, tuple) else {value} if isinstance(value, str) else set()
    return [name in read for name in names[:count]]


@dataclass(frozen=True)
class _Inputs:
    """Tensors among the arguments, and their axes."""

    probe: ParityInputs
    leaves: list[Any]
    spec: Any
    batched: frozenset[int] = field(default_factory=frozenset)

    @classmethod
    def of(cls, probe: ParityInputs) -> _Inputs:
        return cls(probe, *pytree.tree_flatten((probe.args, dict(probe.kwargs))))

    def resized(self, sizes: Mapping[Axis, int]) -> ParityInputs:
        """Return the arguments with other sizes along some axes."""
        generator = torch.Generator().manual_seed(0)
        leaves = list(self.leaves)
        for (number, axis), size in sizes.items():
            leaf = leaves[number]
            index = torch.arange(size, device=leaf.device) % leaf.shape[axis]
            leaf = leaf.index_select(axis, index)
            if leaf.is_floating_point():
                noise = torch.randn(leaf.shape, generator=generator).to(leaf)
                leaf = leaf + 0.3 * noise * float(self.leaves[number].std())
            leaves[number] = leaf
        args, kwargs = pytree.tree_unflatten(leaves, self.spec)
        return ParityInputs(args, kwargs, args, kwargs)


def prove_free_axes(
    network: nn.Module,
    model: nn.Module,
    probe: ParityInputs,
    reads: Mapping[str, list[int]],
    tolerance: float,
    known: Mapping[Axis, Any],
) -> dict[Axis, str]:
    """Return the free axes other than the `known` ones, each with a label; equal labels have equal sizes.

    Costs one run of `network` at another size if no axis is free (which usually fails at once), else about
    three.

    Args:
        network: Traced network.
        model: Network that it was traced from.
        probe: Arguments that it was traced with.
        reads: Sizes that the code of `model` read with `probe`, by mode ("eval" and "train"), and in
            evaluation mode with a larger batch ("batch").
        tolerance: Relative error that counts as rounding.
        known: Axes that are free anyway.
    """
    inputs = _Inputs.of(probe)
    for axes in _images(inputs):
        if not axes.keys().isdisjoint(known):
            continue
        for sizes in _other_sizes(inputs, axes):
            if _is_free(network, model, inputs.resized(sizes), reads, tolerance):
                return axes
    found: dict[Axis, str] = {}
    for axes in _single_axes(inputs):
        if not axes.keys().isdisjoint(known):
            continue
        tried = found | axes
        if any(
            _is_free(network, model, inputs.resized(sizes), reads, tolerance)
            for sizes in _other_sizes(inputs, tried)
        ):
            found = tried
    return found


def symbolic_axes(program: Program) -> tuple[dict[Axis, Any], dict[Axis, str]]:
    """Return the label of every axis that is a symbol in the graph, and why the others are not.

    A label is a text, or a tuple of it and the sizes that the user's code allows.
    """
    free: dict[Axis, Any] = {}
    reasons: dict[Axis, str] = {}
    labels: dict[Any, str] = {}
    bounds: dict[Any, Any] = {}
    mixed: set[Any] = set()
    for number, node in enumerate(program.inputs):
        value = value_of(node)
        for axis, size in enumerate(value.shape if isinstance(value, Tensor) else ()):
            place = number, axis
            if isinstance(size, int):
                reasons[place] = f"an axis of size {size} may be broadcast; trace with a larger one"
            elif fixed_size(size) is not None:
                reasons[place] = _line_of(program, size)
            elif not size.node.expr.is_Symbol:
                mixed |= size.node.expr.free_symbols
                reasons[place] = f"it has to equal {size.node.expr}"
            else:
                symbol = free[place] = size.node.expr
                if symbol not in labels:
                    labels[symbol] = _name_of(value.dim(), *place, taken=labels.values())
                    bounds[symbol] = size_bounds(program, symbol, size_at(size, 1))
    for place, symbol in list(free.items()):
        if symbol in program.batch:
            free[place] = "batch"
        elif symbol in mixed or isinstance(bounds[symbol], str):
            is_line = isinstance(bounds[symbol], str)
            reasons[place] = f"{bounds[symbol]} branches on it" if is_line else "another axis depends on it"
            del free[place]
        else:
            is_any = bounds[symbol] == (0, None, 1)
            free[place] = labels[symbol] if is_any else (labels[symbol], *bounds[symbol])
    return free, reasons


def _line_of(program: Program, size: torch.SymInt) -> str:
    """Return the line of the user's code that fixed a size."""
    assert size.node.shape_env is not None
    symbol, replacements = size.node._expr, size.node.shape_env.replacements
    for _ in range(len(replacements) + 1):
        if symbol in program.fixed or symbol not in replacements:
            break
        symbol = replacements[symbol]
    return f"{program.fixed[symbol]} needs this size" if program.fixed.get(symbol) else ""


def _name_of(rank: int, number: int, axis: int, taken: Iterable[str]) -> str:
    """Return a label that is not taken for an axis of an input."""
    name = f"size_{number}_{axis}"
    if rank >= 4 and axis >= 2:
        name = _WORDS.get(rank - axis, name)
    elif rank in (2, 3) and axis == 1:
        name = "length"
    return name if name not in taken else f"{name}_{number}_{axis}"


def agrees_at_other_sizes(
    network: nn.Module,
    model: nn.Module,
    probe: ParityInputs,
    axes: Mapping[Axis, Any],
    tolerance: float,
    *,
    train: bool,
) -> dict[Axis, Any]:
    """Return those of the symbolic `axes` at whose other sizes network and model agree."""
    inputs = _Inputs.of(probe)

    def agree(tried: Mapping[Axis, Any]) -> bool:
        return any(
            _runs(network, model, resized := inputs.resized(sizes))
            and _agree(network, model, resized, tolerance, train)
            for sizes in _other_sizes(inputs, tried)
        )

    if not axes or agree(axes):
        return dict(axes)
    found: dict[Axis, Any] = {}
    for label in dict.fromkeys(axes.values()):
        more = {place: other for place, other in axes.items() if other == label}
        if len(more) < len(axes) and agree(found | more):
            found |= more
    return found


def proven_from(
    network: nn.Module,
    model: nn.Module,
    probe: ParityInputs,
    axes: Mapping[Axis, Any],
    tolerance: float,
    *,
    train: bool,
) -> dict[Axis, Any]:
    """Return the symbolic `axes` without the sizes 0 and 1 where network and model do not agree at these.

    torch decides conditions on them without a guard: to it, a symbol is 2 or more.
    """
    inputs, found = _Inputs.of(probe), dict(axes)

    def agree(places: Iterable[Axis], size: int) -> bool:
        resized = inputs.resized(dict.fromkeys(places, size))
        return _runs(network, model, resized) and _agree(network, model, resized, tolerance, train)

    for size in (1, 0):
        smallest = {p: label for p, label in found.items() if is_within(size, label)}
        groups = [[p for p in smallest if smallest[p] == label] for label in dict.fromkeys(smallest.values())]
        excluded = [place for group in groups if not agree(group, size) for place in group]
        if not excluded and len(groups) > 1 and not agree(smallest, size):
            excluded = list(smallest)
        if size == 1:  # where not even 1 is allowed, neither is 0
            excluded += [p for p in found if p not in smallest and is_within(0, found[p])]
        for place in excluded:
            name, low, *rest = label if isinstance(label := found[place], tuple) else (label, 0, None, 1)
            found[place] = (name, max(low, size + 1), *rest)
    return found


def takes_single(
    network: nn.Module,
    model: nn.Module,
    probe: ParityInputs,
    batches: Iterable[Axis],
    reads: Mapping[str, list[int]],
    tolerance: float,
    *,
    train: bool,
) -> bool:
    """Return whether a batch of one is treated as by `model`, where `model` takes it.

    To torch a symbol is 2 or more, so that `if x.shape[0] == 1` leaves no trace in a graph. Nothing is run if
    the code of `model` reads no size that depends on the batch.
    """
    sizes = {mode: reads.get(mode) for mode in ("eval", "batch", *(["train"] if train else []))}
    if None not in sizes.values() and all(found == sizes["eval"] for found in sizes.values()):
        return True
    single = _Inputs.of(probe).resized(dict.fromkeys(batches, 1))
    for run in _RUNS[: 1 + train]:
        try:
            expected = run(model, model, single)
        except Exception:  # the user's code: batch norms refuse a single value per channel in training mode
            continue
        try:
            compare(expected, run(network, model, single), tolerance)
        except Exception:  # any error of any operator, or a difference
            return False
    return True


_RUNS: tuple[Callable[..., ModelOutputs], ...] = (
    partial(compute_outputs, batch=False, train=False),
    compute_training_outputs,
)


def _agree(network: nn.Module, model: nn.Module, probe: ParityInputs, tolerance: float, train: bool) -> bool:
    try:
        expected = compute_outputs(model, model, probe, batch=False, train=train)
        compare(expected, compute_outputs(network, model, probe, batch=False, train=train), tolerance)
    except Exception:  # any error of any operator, or a difference: this size is not supported
        return False
    return True


def reason_of_images(model: nn.Module, probe: ParityInputs) -> str | None:
    """Return why `model` takes no other heights and widths; `None` if it does, or if there are none."""
    inputs, reason = _Inputs.of(probe), None
    for axes in _images(inputs):
        for sizes in _other_sizes(inputs, axes):
            resized = inputs.resized(sizes)
            with torch.no_grad(), preserve_state(model):
                try:
                    model.eval()(*resized.args, **resized.kwargs)
                    return None
                except Exception as error:  # the user's code
                    reason = f"{first_line(error)}{error_location(error, model)}"
    return reason


def _images(inputs: _Inputs) -> Iterator[dict[Axis, str]]:
    """Yield height and width of all images together; equal sizes stay equal between images."""
    axes = {
        (number, axis): f"{_WORDS.get(leaf.dim() - axis, axis)}_{int(leaf.shape[axis])}"
        for number, leaf in enumerate(inputs.leaves)
        if isinstance(leaf, Tensor) and leaf.dim() >= 4
        for axis in range(2, leaf.dim())
    }
    if axes:
        yield axes


def _single_axes(inputs: _Inputs) -> Iterator[dict[Axis, str]]:
    """Yield one axis at a time: one of equal size in all inputs, then each alone."""
    tensors = [(i, leaf) for i, leaf in enumerate(inputs.leaves) if isinstance(leaf, Tensor)]
    together: dict[int, dict[Axis, str]] = {}
    for number, leaf in tensors:
        if leaf.dim() in (2, 3):
            together.setdefault(int(leaf.shape[1]), {})[number, 1] = "length"
    yield from (axes for axes in together.values() if len(axes) > 1)
    for number, leaf in tensors:
        for axis in range(1 if leaf.dim() < 4 else 2, leaf.dim()):
            yield {(number, axis): f"size_{number}_{axis}"}


def _other_sizes(inputs: _Inputs, axes: Mapping[Axis, Any]) -> Iterator[dict[Axis, int]]:
    """Yield odd sizes, then multiples of 32 (networks that halve their input five times)."""
    for step in (1, 32):
        by_label: dict[Any, int] = {}
        sizes: dict[Axis, int] = {}
        for (number, axis), label in axes.items():
            old = int(inputs.leaves[number].shape[axis])
            if label not in by_label:
                start = old // 2 if old >= _LARGE else old
                more = step if step == 1 else 32 * -(-start // 32) - start + (32 if start == old else 0)
                size = start + more + 2 * step * (len(by_label) % 2)
                steps = range(size, size + 8 * old, 1), range(old - 1, 1, -1)
                allowed = (n for numbers in steps for n in numbers if n != old and is_within(n, label))
                by_label[label] = size if isinstance(label, str) else next(allowed, 0)
            sizes[number, axis] = by_label[label]
        if all(inputs.leaves[n].shape[a] > 0 and sizes[n, a] > 0 for n, a in axes):
            yield sizes


def _runs(network: nn.Module, model: nn.Module, probe: ParityInputs) -> bool:
    """Return whether `network` runs at all, which is cheaper than a comparison and settles most cases."""
    chatter = redirect_stderr(io.StringIO())  # torch.fx prints the generated code around an error
    with torch.no_grad(), preserve_state(network), preserve_state(model), chatter:
        network.eval()
        try:
            network(*probe.args, **probe.kwargs)
        except Exception:  # any error of any operator: this size is not supported
            return False
    return True


def _is_free(
    network: nn.Module,
    model: nn.Module,
    probe: ParityInputs,
    reads: Mapping[str, list[int]],
    tolerance: float,
) -> bool:
    """Return whether the outputs agree on `probe`, and the model's code reads the sizes in `reads`."""
    if not _runs(network, model, probe):
        return False
    try:
        found = compute_outputs(network, model, probe, batch=False, train=False)
    except Exception:  # any error of any operator: this size is not supported
        return False
    sizes = SizeReads()
    try:
        expected = compute_outputs(model, model, probe, batch=False, train=False, watch=sizes)
        compare(ModelOutputs(expected.eval), ModelOutputs(found.eval), tolerance)
        if sizes.found != reads.get("eval"):
            return False
        if "train" in reads:
            sizes = SizeReads()
            compute_training_outputs(model, model, probe, watch=sizes)
            return sizes.found == reads["train"]
    except Exception:  # the user's code, or a difference
        return False
    return True


def as_arguments(example_inputs: Any, batch_axis: int = 0) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return positional and keyword arguments, with a batch of one doubled.

    `torch.export` specializes sizes of one (torch 2.14), so that the batch would be fixed.

    Examples:
        >>> args, kwargs = as_arguments(torch.zeros(1, 3))
        >>> args[0].shape, kwargs
        (torch.Size([2, 3]), {})
    """
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}
    if isinstance(example_inputs, Mapping):
        kwargs = dict(example_inputs)
    else:
        args = tuple(example_inputs) if isinstance(example_inputs, tuple | list) else (example_inputs,)
    wide = double_batch(args, kwargs, batch_axis)
    _require_tensors(example_inputs, wide)
    return wide


def _require_tensors(example_inputs: Any, arguments: Any) -> None:
    """Reject NumPy arrays, and inputs without a tensor.

    Raises:
        ArgumentError: `example_inputs` holds an array, or no tensor.
    """
    leaves = pytree.tree_leaves(arguments)
    for leaf in leaves:
        if type(leaf).__module__ == "numpy":
            shape = tuple(getattr(leaf, "shape", ()))
            raise ArgumentError(
                f"example_inputs holds a NumPy {type(leaf).__name__} of shape {shape}, but a network takes"
                " tensors; use torch.from_numpy(...)"
            )
    if not any(isinstance(leaf, Tensor) for leaf in leaves):
        raise ArgumentError(
            f"example_inputs={example_inputs!r:.80} holds no tensor; pass what the network is called with: a"
            " tensor such as torch.zeros(1, 3, 32, 32), a tuple of arguments, or a dict of keyword arguments"
        )


def double_batch(
    args: tuple[Any, ...], kwargs: dict[str, Any], batch_axis: int = 0
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments with a batch of one doubled.

    The first tensor defines the batch. An axis of one next to a larger batch is broadcast, so it is kept.
    """
    register_classes((args, kwargs))
    tensors = [leaf for leaf in pytree.tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    if not tensors or tensors[0].shape[batch_axis : batch_axis + 1] != (1,):
        return args, kwargs

    def doubled(leaf: Any) -> Any:
        return torch.cat([leaf, leaf], batch_axis) if follows_batch(leaf, tensors, batch_axis) else leaf

    wide: tuple[tuple[Any, ...], dict[str, Any]] = pytree.tree_map(doubled, (args, kwargs))
    return wide


def expected_outputs(model: nn.Module, probe: ParityInputs) -> tuple[ModelOutputs, dict[str, list[int]]]:
    """Return the outputs of `model`, and the tensor sizes that its code read in each mode.

    Outputs at another batch size or in training mode are missing if `model` fails there.

    Raises:
        TraceError: `model` does not run on these inputs.
    """
    try:
        outputs, sizes = _watched(partial(compute_outputs, model, model, probe, batch=False, train=False))
    except NotImplementedError as error:
        if "eval()" not in str(error):
            raise _does_not_run(model, probe, error) from error
        raise TraceError(
            f"{type(model).__name__} cannot switch between training and evaluation mode"
            f" ({first_line(error)}), like modules of exported programs; trace the program itself, or"
            " the module that it was exported from"
        ) from error
    except Exception as error:  # the user's code
        raise _does_not_run(model, probe, error) from error
    reads: dict[str, list[int] | None] = {"eval": sizes}
    larger = replace(probe, args=probe.larger_args, kwargs=probe.larger_kwargs)
    with suppress(Exception):  # the user's code, at another batch size
        run_larger = partial(compute_outputs, model, model, larger, batch=False, train=False)
        more, reads["batch"] = _watched(run_larger)
        outputs.batch = more.eval
    with suppress(Exception):  # the user's code, in training mode
        trained, reads["train"] = _watched(partial(compute_training_outputs, model, model, probe))
        outputs.train, outputs.buffers, outputs.draws = trained.train, trained.buffers, trained.draws
    return outputs, {mode: found for mode, found in reads.items() if found is not None}


def _does_not_run(model: nn.Module, probe: ParityInputs, error: Exception) -> TraceError:
    return TraceError(
        f"{type(model).__name__} does not run on inputs of shape {_shapes(probe)}: {first_line(error)}"
        f"{error_location(error, model)}; pass inputs of the shapes and dtypes that it expects"
    )


def _watched(run: Callable[..., ModelOutputs]) -> tuple[ModelOutputs, list[int] | None]:
    """Return the outputs and the sizes read meanwhile; `None` for the sizes if watching disturbs the code."""
    watch = SizeReads()
    try:
        return run(watch=watch), watch.found
    except Exception:  # an error of the model itself is raised again by the plain run
        return run(), None


def _shapes(probe: ParityInputs) -> str:
    args, kwargs = pytree.tree_map(
        lambda leaf: tuple(leaf.shape) if isinstance(leaf, Tensor) else leaf, (probe.args, dict(probe.kwargs))
    )
    return ", ".join([*map(str, args), *(f"{name}={value}" for name, value in kwargs.items())])


def first_line(error: BaseException) -> str:
    """Return the first non-empty line of an error message."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
