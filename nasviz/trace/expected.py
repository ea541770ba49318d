"""What the user's module answers, before anything is traced."""

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
from nasviz.trace.objects import understand
from nasviz.trace.origin import place_of_error
from nasviz.trace.parity import Answers, Probe, ask, ask_in_training

__all__ = ["as_arguments", "expected_answers", "first_line", "widened"]


def as_arguments(example_inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments by place and by name, a batch of one doubled: export takes a one for a constant.

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
    wide = widened(args, kwargs)
    _require_tensors(example_inputs, wide)
    return wide


def _require_tensors(example_inputs: Any, arguments: Any) -> None:
    """Refuse arrays, and inputs without a tensor: there is nothing to follow.

    Raises:
        ArgumentError: The message says what was found instead.
    """
    leaves = pytree.tree_leaves(arguments)
    for leaf in leaves:
        if type(leaf).__module__ == "numpy":
            shape = tuple(getattr(leaf, "shape", ()))
            raise ArgumentError(
                f"example_inputs holds a NumPy {type(leaf).__name__} of shape {shape}, and a network takes"
                " tensors; use torch.from_numpy(...)"
            )
    if not any(isinstance(leaf, Tensor) for leaf in leaves):
        raise ArgumentError(
            f"example_inputs={example_inputs!r:.80} holds no tensor; give what the network is called with: a"
            " tensor such as torch.zeros(1, 3, 32, 32), a tuple of arguments, or a dict of them by name"
        )


def widened(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments with a batch of one doubled.

    The first tensor says what the batch is. An axis of one beside a larger batch is no batch: it spreads.
    """
    understand((args, kwargs))
    tensors = [leaf for leaf in pytree.tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    if not tensors or not tensors[0].dim() or tensors[0].shape[0] != 1:
        return args, kwargs
    wide: tuple[tuple[Any, ...], dict[str, Any]] = pytree.tree_map(_widened, (args, kwargs))
    return wide


def _widened(leaf: Any) -> Any:
    return torch.cat([leaf, leaf]) if isinstance(leaf, Tensor) and leaf.dim() and leaf.shape[0] == 1 else leaf


def expected_answers(model: nn.Module, probe: Probe) -> tuple[Answers, dict[str, list[int]]]:
    """Answers of `model`, and the sizes of tensors that its code was handed in each mode.

    Those at another batch size or in training mode are missing where it has none.

    Raises:
        TraceError: `model` does not run on such inputs.
    """
    try:
        answers, sizes = _watched(partial(ask, model, model, probe, batch=False, train=False))
    except NotImplementedError as error:
        if "eval()" not in str(error):
            raise _does_not_run(model, probe, error) from error
        raise TraceError(
            f"{type(model).__name__} cannot change between training and evaluation mode"
            f" ({first_line(error)}), as modules of exported programs cannot; trace the module that it was"
            " exported from"
        ) from error
    except Exception as error:  # the user's code
        raise _does_not_run(model, probe, error) from error
    reads = {"eval": sizes}
    larger = replace(probe, args=probe.larger_args, kwargs=probe.larger_kwargs)
    with suppress(Exception):  # the user's code, at another batch size
        answers.batch = ask(model, model, larger, batch=False, train=False).eval
    with suppress(Exception):  # the user's code, in training mode
        trained, reads["train"] = _watched(partial(ask_in_training, model, model, probe))
        answers.train, answers.buffers, answers.draws = trained.train, trained.buffers, trained.draws
    return answers, {mode: found for mode, found in reads.items() if found is not None}


def _does_not_run(model: nn.Module, probe: Probe, error: Exception) -> TraceError:
    return TraceError(
        f"{type(model).__name__} does not run on inputs of shape {_shapes(probe)}: {first_line(error)}"
        f"{place_of_error(error, model)}; give it inputs of the shapes and types that it was made for"
    )


def _watched(run: Callable[..., Answers]) -> tuple[Answers, list[int] | None]:
    """Answers, and the sizes that the user's code was handed meanwhile; `None` where that disturbs it."""
    watch = SizeReads()
    try:
        return run(watch=watch), watch.found
    except Exception:  # an error of the model itself comes again
        return run(), None


def _shapes(probe: Probe) -> str:
    args, kwargs = pytree.tree_map(
        lambda leaf: tuple(leaf.shape) if isinstance(leaf, Tensor) else leaf, (probe.args, dict(probe.kwargs))
    )
    return ", ".join([*map(str, args), *(f"{name}={value}" for name, value in kwargs.items())])


def first_line(error: BaseException) -> str:
    """First line of an error that says something."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
