"""Loading of trained weights from a file: tensors only, never code.

safetensors files hold only tensors. Files of `torch.save` are read with an explicit `weights_only=True`,
because an environment variable can change the default, and their zip directory is checked before they are
opened: torch stores members uncompressed, so compressed ones are rejected.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from nasviz.catalog import NetworkSource
from nasviz.errors import WeightsError

__all__ = ["describe_origin", "load_weights"]

_LARGEST_FILE = 16 * 2**30
_MOST_MEMBERS = 200_000
_PICKLED = (".pt", ".pth", ".bin", ".ckpt")
_WRAPPERS = ("state_dict", "model_state_dict", "model", "module")
# Raised by torch's reader for a file that is damaged or holds more than tensors.
_UNREADABLE = (
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


def load_weights(model: nn.Module, path: str | Path) -> None:
    """Set every parameter and buffer of `model` from a file: safetensors, or .pt, .pth with tensors only.

    State dicts wrapped as `{"state_dict": ...}` are unwrapped, and the prefix `module.` of DataParallel is
    removed. The model is unchanged if the file does not fit.

    Raises:
        WeightsError: The file cannot be read safely, or its names or shapes differ from the network's.
    """
    file = Path(path).expanduser()
    state = _without_prefix(_read(file))
    own = dict(model.state_dict(keep_vars=True))
    if problems := _differences(own, state):
        raise WeightsError(
            f"{_shown(file.name)} does not fit this {type(model).__name__}: {'; '.join(problems)}. Check the"
            " network's name, number of classes and settings."
        )
    try:
        # Shared tensors may be stored under one of their names only, as `_differences` allows.
        model.load_state_dict({name: state[name] for name in own if name in state}, strict=False)
    except RuntimeError as error:
        raise WeightsError(f"{_shown(file.name)} cannot be copied: {_first_line(error)}") from error


def _read(file: Path) -> dict[str, Tensor]:
    if not file.is_file():
        raise WeightsError(f"there is no file of weights at {_shown(str(file))}")
    if (size := file.stat().st_size) > _LARGEST_FILE:
        raise WeightsError(f"{_shown(file.name)} has {size:,} bytes; the limit is {_LARGEST_FILE:,}")
    if file.suffix == ".safetensors":
        try:
            return load_file(file)
        except (SafetensorError, OSError, ValueError) as error:
            raise WeightsError(f"{_shown(file.name)} is no safetensors file: {_first_line(error)}") from error
    if file.suffix not in _PICKLED:
        raise WeightsError(
            f"weights are read from .safetensors, {', '.join(_PICKLED)}; got {_shown(file.name)}."
            " Save them with safetensors.torch.save_file(model.state_dict(), ...)."
        )
    if zipfile.is_zipfile(file):
        _check_archive(file)
    try:
        loaded = torch.load(file, map_location="cpu", weights_only=True)
    except _UNREADABLE as error:
        raise WeightsError(
            f"{_shown(file.name)} cannot be read as tensors only ({type(error).__name__}). Save only the"
            " weights: torch.save(model.state_dict(), ...), or as safetensors."
        ) from error
    return _state_of(loaded, file)


def _check_archive(file: Path) -> None:
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
        raise WeightsError(f"{_shown(file.name)} is a damaged archive: {_first_line(error)}") from error
    total = sum(member.file_size for member in members)
    packed = [member for member in members if member.compress_type != zipfile.ZIP_STORED]
    if len(members) > _MOST_MEMBERS or packed or total > file.stat().st_size:
        raise WeightsError(
            f"{_shown(file.name)} is rejected unopened: its {len(members):,} members unpack to {total:,}"
            f" bytes from a file of {file.stat().st_size:,}, {len(packed)} of them compressed; torch.save"
            " writes uncompressed members. Save the weights again with torch.save or as safetensors."
        )


def _state_of(loaded: Any, file: Path) -> dict[str, Tensor]:
    for wrapper in _WRAPPERS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(wrapper), Mapping):
            loaded = loaded[wrapper]
            break
    if isinstance(loaded, Mapping) and loaded:
        state = {name: value for name, value in loaded.items() if isinstance(value, Tensor)}
        if len(state) == len(loaded) and all(isinstance(name, str) for name in state):
            return state
    raise WeightsError(
        f"{_shown(file.name)} holds no state dict (a mapping of names to tensors); save model.state_dict()"
    )


def _without_prefix(state: dict[str, Tensor]) -> dict[str, Tensor]:
    if state and all(name.startswith("module.") for name in state):
        return {name.removeprefix("module."): value for name, value in state.items()}
    return state


def _differences(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> list[str]:
    given = {id(own[name]) for name in own.keys() & state.keys()}
    missing = [name for name, tensor in own.items() if name not in state and id(tensor) not in given]
    unexpected = [name for name in state if name not in own]
    mismatched = [
        f"{_shown(name)} {tuple(state[name].shape)} for {tuple(tensor.shape)}"
        for name, tensor in own.items()
        if name in state and state[name].shape != tensor.shape
    ]
    groups = {
        "missing": map(_shown, missing),
        "unexpected": map(_shown, unexpected),
        "of another shape": mismatched,
    }
    return [f"{_first_few(found)} {word}" for word, names in groups.items() if (found := list(names))]


def _first_few(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - 3} more" if len(listed) > 3 else ""
    return ", ".join(listed[:3]) + more


def _shown(name: str) -> str:
    """Return untrusted text on one line, shortened."""
    text = ascii(name)[1:-1]
    return text if len(text) <= 80 else text[:77] + "..."


def _first_line(error: Exception) -> str:
    return _shown(str(error).split("\n", 1)[0])


_GIT_TIMEOUT_S = 10.0


def describe_origin(source: NetworkSource, model: nn.Module) -> dict[str, Any]:
    """Return SHA-256 sums of the code and weights of `model`, and the git revision of a user's code.

    `sources` has a sum for each Python file that defines a class of the model or the callable that made it;
    torch's own files are identified by its version. `git` is `None` for code that is not the user's or not in
    a repository; `is_changed` says whether a tracked file differs from that revision.

    Args:
        source: Source of the network.
        model: Network built from it.
    """
    modules = {type(module).__module__ for module in model.modules()}
    if source.is_callable:
        modules.add(source.name.partition(":")[0])
    files = {name: file for name in sorted(modules) if (file := _file_of(name)) is not None}
    own = files.get(source.name.partition(":")[0])
    return {
        "sources": {name: _sum(file) for name, file in files.items()},
        "weights": None if source.weights is None else _sum(Path(source.weights).expanduser()),
        "git": _git_revision(own.parent) if source.is_callable and own is not None else None,
    }


def _file_of(module: str) -> Path | None:
    if module.partition(".")[0] == "torch":
        return None
    file = getattr(sys.modules.get(module), "__file__", None)
    return Path(file) if file is not None and Path(file).is_file() else None


def _sum(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _git_revision(folder: Path) -> dict[str, Any] | None:
    """Return the revision checked out around `folder`; `None` without a repository or git."""
    try:
        revision = _git(folder, "rev-parse", "HEAD")
        changes = _git(folder, "status", "--porcelain", "--untracked-files=no", ".")
    except (OSError, subprocess.SubprocessError):
        return None
    return {"revision": revision, "is_changed": bool(changes)}


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(folder), *arguments],
        env=os.environ | {"GIT_OPTIONAL_LOCKS": "0"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_GIT_TIMEOUT_S,
        check=True,
    ).stdout.strip()
