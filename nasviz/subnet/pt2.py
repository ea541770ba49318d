"""Export a network by `torch.export` as a .pt2 file and read it back: it must compute what the network does.

The file holds the graph as JSON and the weights as they lie in memory, and no example inputs. Only what was
written here is read back, never the file of a stranger: a .pt2 may hold pickles.
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
from nasviz.subnet.reading_back import batch_axes, fed, largest_difference, longer, tensors, tolerance
from nasviz.trace.state import borrowed, require_module

__all__ = ["Pt2Export", "export_pt2"]


@dataclass(frozen=True, slots=True)
class Pt2Export:
    """A .pt2 file that was read back."""

    path: Path
    max_relative_error: float
    """The program in the file against the network, over the largest value of each output: the worst."""
    size_bytes: int


def export_pt2(net: Subnetwork | nn.Module, path: str | Path, *, inputs: Any = None) -> Pt2Export:
    """Write a network to `path` by `torch.export`, in evaluation mode and for any batch size; read it back.

    `torch.export.load(path).module()` gives the network; it needs torch alone.

    Args:
        net: A sub-network, a traced or loaded network, or any module; it is left as it was.
        path: Of the file, whose name must end in .pt2; on failure nothing is left there.
        inputs: A tensor, a tuple of arguments or a dict of keyword arguments. May be left out for networks
            that know what they were traced with.

    Raises:
        ExportError: The network cannot be exported, or the file does not read back as the network.
        StorageError: The disk is full, or this user may not write there; an old file is still there.
    """
    module = net.module if isinstance(net, Subnetwork) else net
    require_module("net", module)
    require_type("path", path, (str, Path), "the path of a file", "give text or a pathlib.Path")
    path = Path(path)
    if path.suffix != ".pt2":
        raise ExportError(f"{path.name} was asked for, but torch wants a name that ends in .pt2")
    with borrowed(module), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module.eval()
        given, is_batched = fed(module, inputs)
        content = _written(module, given, is_batched)
        program = torch.export.load(io.BytesIO(content)).module()
        feeds = (given, longer(given)) if is_batched else (given,)
        error = max(
            largest_difference(tensors(module(*feed)), tensors(program(*feed)), "the .pt2 file")
            for feed in feeds
        )
        if not error <= tolerance(given):
            raise ExportError(
                f"the .pt2 file computes something else than the network: relative difference {error:.2e}"
            )
    replace_file(path, content)
    return Pt2Export(path, error, len(content))


def _written(module: nn.Module, given: tuple[Any, ...], is_batched: bool) -> bytes:
    axes = batch_axes(given, is_batched=is_batched)
    try:
        program = torch.export.export(module, given, dynamic_shapes=tuple(axes))
        program.example_inputs = None
        content = io.BytesIO()
        torch.export.save(program, content)
    except Exception as error:  # torch.export raises whatever it likes
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise ExportError(f"torch.export cannot export {type(module).__name__}: {reason}") from error
    return content.getvalue()
