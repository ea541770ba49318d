"""Runs and sweeps as they come from somebody else's machine, with code that leaves a canary when imported."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nasviz.runs import Run, RunSettings, Store, SweepSettings, SweepStore

CODE = """
from pathlib import Path
Path(__file__).with_name("canary").touch()
raise RuntimeError("it has run")
"""


@contextmanager
def other_machine(state: Path) -> Iterator[None]:
    """Write runs with another user's key for a while: they carry marks, which are not valid here."""
    before = os.environ["XDG_STATE_HOME"]
    os.environ["XDG_STATE_HOME"] = str(state)
    try:
        yield
    finally:
        os.environ["XDG_STATE_HOME"] = before


def write_code(folder: Path, name: str = "evil") -> Path:
    """Write a module that leaves a canary beside itself when it is imported; return the canary's path."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.py").write_text(CODE)
    return folder / "canary"


def strangers_run(runs: Path, settings: RunSettings, *, run_id: str | None = None) -> Run:
    """Create a run as another user would."""
    with other_machine(runs.with_name("elsewhere")):
        return Store(runs).create(settings, run_id=run_id)


def strangers_sweep(runs: Path, settings: SweepSettings) -> str:
    """Create a sweep as another user would; return its id."""
    with other_machine(runs.with_name("elsewhere")):
        return SweepStore(runs).create(settings).id
