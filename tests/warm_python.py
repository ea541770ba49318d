"""Modules run as programs, in processes that are forked from a server which has loaded torch once."""

from __future__ import annotations

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["forking", "run_module"]


def forking() -> Any:
    """Return the context of the processes; the server starts with the first of them."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.train.warm_start"])
    return context


def run_module(*words: object, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a module with its arguments, as `python -m` does, without a terminal."""
    command = [str(word) for word in words]
    with tempfile.TemporaryDirectory() as folder:
        files = [str(Path(folder) / name) for name in ("out", "err")]
        process = forking().Process(target=_become, args=(command, str(cwd), variables, files))
        process.start()
        process.join()
        out, err = (Path(file).read_text() for file in files)
    assert process.exitcode is not None
    return subprocess.CompletedProcess(command, process.exitcode, out, err)


def _become(command: list[str], cwd: str, variables: Mapping[str, str], files: list[str]) -> None:
    for number, file in enumerate(files, 1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600), number)
    os.chdir(cwd)
    os.environ.update(variables)
    sys.argv = command
    runpy.run_module(command[0], run_name="__main__", alter_sys=True)
