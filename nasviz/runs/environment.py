"""Software and hardware of a run, recorded at each start so that the run can be reproduced."""

from __future__ import annotations

import os
import platform
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from nasviz.runs.files import ENVIRONMENT, read_table, write_json

__all__ = ["PACKAGES", "describe_environment", "record_environment"]

PACKAGES = ("torch", "torchvision", "numpy", "scikit-learn", "safetensors", "onnx", "networkx")
"""Packages whose version may change the result of a run."""


def describe_environment() -> dict[str, Any]:
    """Return versions and machine, without importing any of the packages."""
    from nasviz import __version__

    versions: dict[str, str | None] = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    return {
        "time": time.time(),
        "nasviz": __version__,
        "python": platform.python_version(),
        "packages": versions,
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "command": sys.argv[:1],
    }


def record_environment(folder: Path, **facts: Any) -> dict[str, Any]:
    """Add and return an entry for this start of the run in `folder`; `facts` are known only to the worker."""
    entry = describe_environment() | facts
    before = (read_table(folder / ENVIRONMENT) or {}).get("starts")
    starts = [*(before if isinstance(before, list) else []), entry]
    write_json(folder / ENVIRONMENT, {"starts": starts})
    return entry
