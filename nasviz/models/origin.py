"""Provenance of a network: checksums of its code and weights, needed to reproduce it."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from torch import nn

from nasviz.catalog import NetworkSource

__all__ = ["describe_origin"]

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
