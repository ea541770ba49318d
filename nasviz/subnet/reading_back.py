"""Verification of exported files: arguments for two batch sizes, and the distance of two outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from nasviz.errors import ExportError
from nasviz.subnet.network_inputs import arguments, example_inputs, recorded_inputs

__all__ = ["batch_axes", "export_arguments", "largest_difference", "one_more_sample", "tensors", "tolerance"]


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
