"""Saving of sub-networks as data, and loading without running any code of the folder.

`graph.json` describes the network, `weights.safetensors` holds its tensors, `report.json` is the report of
its construction, and `model.py` is the same network as readable Python: it needs torch only, and `load` never
reads it.
"""

from __future__ import annotations

import json
import runpy
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx

from nasviz.checksums import CHECKSUMS, check, manifest, read_manifest
from nasviz.errors import (
    DamagedFileError,
    ExportError,
    GraphError,
    UncheckedFilesWarning,
    UnsafeFileError,
    WeightsError,
    require_type,
)
from nasviz.extensions import load_extensions
from nasviz.guarded_files import (
    exists,
    read_regular,
    refusal,
    require_regular,
    stage,
    staging_folder,
    sync_folder,
)
from nasviz.subnet.construct import Subnetwork
from nasviz.subnet.description import build, describe, distinct_tensors
from nasviz.subnet.exports import export_arguments, largest_difference, tolerance
from nasviz.subnet.exports import tensors as tensors_in
from nasviz.subnet.modules import imports_of
from nasviz.subnet.source import source_of
from nasviz.trace.parity import preserve_state

__all__ = ["IMPORTING_FILES", "check_files", "load", "save", "write_network"]

IMPORTING_FILES = ("model.py", "weights.safetensors", "report.json")
"""Files of a saved network that imports third-party modules."""

_LONGEST_DESCRIPTION = 64 << 20


def save(sub: Subnetwork, folder: str | Path, *, mode: int = 0o666) -> Path:
    """Write a sub-network to `folder`, which is created if necessary.

    Each file is written to a staging folder and moved, so it is complete or absent. If the network holds a
    third-party module without a rule for data, `graph.json` is left out, as data must not name code:
    `model.py` imports the module, is run and compared here, and `report.json` lists it under `imports`.

    Args:
        sub: Result of `construct`.
        folder: Target folder.
        mode: Permissions of the files, less the umask.

    Raises:
        ExportError: The network calls something that cannot be written as data.
        StorageError: The disk is full, or the folder is not writable.
    """
    require_type("sub", sub, Subnetwork, "a sub-network", "make one: sub = nasviz.construct(net, space)")
    require_type("folder", folder, (str, Path), "the path of a folder", "pass a str or a pathlib.Path")
    return write_network(sub.module, folder, sub.report.to_json(), mode=mode)


def write_network(
    net: fx.GraphModule, folder: str | Path, report: Mapping[str, Any], *, mode: int = 0o666
) -> Path:
    """Write a network and the report of its construction; see `save`."""
    from safetensors.torch import save as to_bytes

    imports = imports_of(net)
    described = None if imports else describe(net)
    tensors, _ = distinct_tensors(net)
    files = {
        "weights.safetensors": to_bytes({name: _plain(tensor) for name, tensor in tensors.items()}),
        "report.json": json.dumps({**report, "imports": imports}, indent=1).encode(),
        "model.py": source_of(net).encode(),
    }
    if described is not None:
        files["graph.json"] = json.dumps(described, indent=1, allow_nan=False).encode()
    files[CHECKSUMS] = manifest(files)  # written last: until then, the old sums do not match
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with staging_folder(folder, ".saving-") as beside:
            staged = {name: stage(beside / name, content, mode) for name, content in files.items()}
            for name, temporary in staged.items():
                temporary.replace(beside / name)
            if imports:
                _run_source(net, beside)
                (folder / "graph.json").unlink(missing_ok=True)
            for name in files:
                (beside / name).replace(folder / name)
            sync_folder(folder)
    except OSError as error:
        raise refusal(folder, error) from error
    return folder


def _run_source(net: fx.GraphModule, folder: Path) -> None:
    """Run model.py, which `load` never reads, and compare its outputs with those of the network."""
    with preserve_state(net), torch.no_grad():
        net.eval()
        given, _ = export_arguments(net, None)
        copy = runpy.run_path(str(folder / "model.py"))["load"]().eval()
        error = largest_difference(tensors_in(net(*given)), tensors_in(copy(*given)), "model.py")
    if not error <= tolerance(given):
        raise ExportError(
            f"model.py does not compute what the network computes: relative difference {error:.2e}"
        )


def _plain(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().clone(memory_format=torch.contiguous_format)


def load(folder: str | Path) -> fx.GraphModule:
    """Return the network that `save` wrote to `folder`, on the CPU, ready to run and to train.

    Only operators of aten and modules of torch.nn that are on a list, and operators that this process has
    registered, are built, from names and numbers that are checked first; `model.py` is not read.

    Raises:
        GraphError: `graph.json` is missing, damaged, or names something that is not on the lists.
        WeightsError: `weights.safetensors` is missing, damaged, or does not match `graph.json`.
    """
    require_type("folder", folder, (str, Path), "the path of a folder", "pass a str or a pathlib.Path")
    folder = Path(folder).expanduser().resolve()  # symbolic links in the caller's path are trusted
    if imports := _imports(folder):
        raise GraphError(
            f"the network in {folder} holds {', '.join(imports)}, not loadable as data: run its model.py"
        )
    load_extensions(operators=True)  # of operators that the file may name
    described = _read_description(folder / "graph.json")
    weights = _read_weights(folder / "weights.safetensors")
    if not check_files(folder):
        warnings.warn(
            f"{folder} holds no {CHECKSUMS}: damage to its files cannot be detected; save it again",
            UncheckedFilesWarning,
            stacklevel=2,
        )
    try:
        return build(described, weights)
    except (RecursionError, SyntaxError) as error:  # the latter from Python 3.12 on, in the code of torch.fx
        raise GraphError(f"{folder / 'graph.json'} is nested too deeply") from error


def check_files(folder: Path) -> bool:
    """Check the files of a saved network against their checksums; return whether there are any.

    Raises:
        WeightsError: The weights have changed since they were saved.
        GraphError: Another file has changed.
    """
    try:
        sums = read_manifest(folder)
        if sums is None:
            return False
        for name in ("graph.json", "weights.safetensors", "report.json", "model.py"):
            check(folder, sums, [name])
    except (DamagedFileError, UnsafeFileError) as error:
        kind = WeightsError if "weights.safetensors" in str(error) else GraphError
        raise kind(str(error)) from error
    return True


def _imports(folder: Path) -> list[str]:
    """Return the imports that prevent loading as data, according to the report."""
    try:
        report = json.loads(read_regular(folder / "report.json", _LONGEST_DESCRIPTION))
    except (OSError, ValueError, RecursionError):
        return []
    found = report.get("imports", []) if isinstance(report, dict) else []
    is_whole = exists(folder / "graph.json") or not isinstance(found, list)
    return [] if is_whole else [str(name) for name in found]


def _read_description(path: Path) -> Any:
    try:
        return json.loads(read_regular(path, _LONGEST_DESCRIPTION))
    except FileNotFoundError as error:
        raise GraphError(f"{path} is missing; a saved network is a folder with graph.json") from error
    except UnsafeFileError as error:
        raise GraphError(str(error)) from error
    except (ValueError, RecursionError) as error:
        raise GraphError(f"{path} is not JSON: {error}") from error


def _read_weights(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        require_regular(path)
        # Copied, because tensors in a file are unaligned, and torch may choose other kernels for them.
        return {name: tensor.clone() for name, tensor in load_file(path).items()}
    except FileNotFoundError as error:
        raise WeightsError(
            f"{path} is missing; a saved network is a folder with weights.safetensors"
        ) from error
    except UnsafeFileError as error:
        raise WeightsError(str(error)) from error
    except (SafetensorError, ValueError, KeyError) as error:
        raise WeightsError(f"{path} cannot be read: {error}") from error
