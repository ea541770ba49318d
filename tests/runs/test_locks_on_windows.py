"""Locks, private folders and workers where Python lacks what Windows lacks (`tests/as_windows`)."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from nasviz.catalog import NetworkSource
from nasviz.errors import RunBusyError
from nasviz.guarded_files import CAN_LOCK_FOLDERS, scratch_folder
from nasviz.jobs import launch, start_run
from nasviz.runs import Run, RunSettings, Store, lock

ROOT = Path(__file__).parents[2]
ABSENT = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}
"""Modules of the standard library that Windows lacks."""


def as_windows(*command: str, **variables: str) -> str:
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'tests/as_windows'}{os.pathsep}{ROOT}"} | variables
    process = subprocess.run(
        [sys.executable, *command], env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert process.returncode == 0, process.stderr
    return process.stdout


def is_busy(run: Run) -> bool:
    try:
        lock.acquire(run.folder).release()
    except RunBusyError:
        return True
    return False


def wait_for_end(run: Run, expected: str) -> list[bool]:
    """Wait for a state; return whether the lock was held at each look until the worker signed in."""
    held = []
    limit = time.monotonic() + 60
    while not (run.folder / "pid.json").exists() and time.monotonic() < limit:
        held.append(lock.is_held(run.folder))
    while (run.state != expected or run.is_active) and time.monotonic() < limit:
        time.sleep(0.01)
    return held


def live(place: Path) -> dict[str, Any]:
    """Take locks and start workers; return what was seen."""
    launch.WORKER = "tests.jobs.quick_worker"
    settings = RunSettings.of(network=NetworkSource("demonet"), target_sparsity=2, epochs=6, mixup=1.0)
    run = Store(place).create(settings)
    seen: dict[str, Any] = {"can lock folders": CAN_LOCK_FOLDERS}
    with lock.acquire(run.folder):
        seen["held"], seen["busy"] = lock.is_held(run.folder), is_busy(run)
    seen["released"] = not lock.is_held(run.folder) and not is_busy(run)
    start_run(run)  # the worker is killed at its third step
    seen["held while it starts"] = wait_for_end(run, "crashed")
    seen["busy after a kill"] = is_busy(run)
    start_run(run)
    wait_for_end(run, "done")
    seen["state"] = run.state
    with scratch_folder("test") as first, scratch_folder("test") as second:
        (abandoned := first.with_name("test-abandoned")).mkdir()
        (abandoned / ".lock").touch()
        with scratch_folder("test"):
            seen["folders"] = [first.exists(), second.exists(), abandoned.exists()]
    return seen | {"deleted": not first.exists()}


def test_a_lock_excludes_passes_to_a_worker_and_ends_with_it(tmp_path: Path) -> None:
    seen = json.loads(as_windows(__file__, str(tmp_path / "runs"), TMPDIR=str(tmp_path)))

    assert not seen["can lock folders"], "the disguise does not work"
    assert (seen["held"], seen["busy"], seen["released"]) == (True, True, True)
    assert seen["held while it starts"]
    assert all(seen["held while it starts"]), "another process could have taken the lock"
    assert not seen["busy after a kill"]
    assert seen["state"] == "done"
    assert (seen["folders"], seen["deleted"]) == ([True, True, False], True)


def test_no_module_imports_what_windows_lacks() -> None:
    wanted = re.compile(rf"^\s*(?:import|from) (?:{'|'.join(ABSENT)})\b", re.MULTILINE)
    assert wanted.search("import os\nimport fcntl\n")
    found = [p.name for p in (ROOT / "nasviz").rglob("*.py") if wanted.search(p.read_text(encoding="utf-8"))]
    assert not found


@pytest.mark.slow
def test_a_run_trains_and_the_pages_load(tmp_path: Path) -> None:
    command = "-m nasviz train --model demonet --epochs 1 --target-sparsity 2 --device cpu --runs"
    as_windows(*command.split(), str(tmp_path / "runs"), TMPDIR=str(tmp_path))
    assert [run.state for run in Store(tmp_path / "runs").runs()] == ["done"]
    as_windows("-c", "import nasviz.ui.serving, nasviz.ui.pages.runs, nasviz.cli.serving, nasviz.onnx_viewer")


if __name__ == "__main__":
    print(json.dumps(live(Path(sys.argv[1]))))  # noqa: T201
