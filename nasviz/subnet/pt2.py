"""Export of a network by `torch.export` to a .pt2 file, verified by reading the file back.

The file holds the graph as JSON, the raw weights, and no example inputs. Only files written here are read
back, never files from elsewhere: a .pt2 file may contain pickles.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nasviz.errors import ExportError, require_type
from nasviz.guarded_files import replace_file
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

__all__ = ["Pt2Export", "export_pt2"]


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
    module = net.module if isinstance(net, Subnetwork) else net
    require_module("net", module)
    require_type("path", path, (str, Path), "the path of a file", "pass a str or a pathlib.Path")
    path = Path(path)
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
