"""Outputs of the user's module before anything is traced."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from nasviz.errors import ArgumentError, TraceError
from nasviz.trace.free_axes import SizeReads
from nasviz.trace.objects import register_classes
from nasviz.trace.origin import error_location
from nasviz.trace.parity import ModelOutputs, ParityInputs, compute_outputs, compute_training_outputs

__all__ = ["as_arguments", "double_batch", "expected_outputs", "first_line"]


def as_arguments(example_inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
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
    wide = double_batch(args, kwargs)
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


def double_batch(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments with a batch of one doubled.

    The first tensor defines the batch. An axis of one next to a larger batch is broadcast, so it is kept.
    """
    register_classes((args, kwargs))
    tensors = [leaf for leaf in pytree.tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    if not tensors or not tensors[0].dim() or tensors[0].shape[0] != 1:
        return args, kwargs
    wide: tuple[tuple[Any, ...], dict[str, Any]] = pytree.tree_map(_doubled, (args, kwargs))
    return wide


def _doubled(leaf: Any) -> Any:
    return torch.cat([leaf, leaf]) if isinstance(leaf, Tensor) and leaf.dim() and leaf.shape[0] == 1 else leaf


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
            f" ({first_line(error)}), like modules of exported programs; trace the module that it was"
            " exported from"
        ) from error
    except Exception as error:  # the user's code
        raise _does_not_run(model, probe, error) from error
    reads = {"eval": sizes}
    larger = replace(probe, args=probe.larger_args, kwargs=probe.larger_kwargs)
    with suppress(Exception):  # the user's code, at another batch size
        outputs.batch = compute_outputs(model, model, larger, batch=False, train=False).eval
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
