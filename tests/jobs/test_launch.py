"""The detached worker of a run: started once, seen at once, stopped within seconds, never a zombie."""

from __future__ import annotations

import time
from pathlib import Path

import psutil
import pytest

from nasviz.catalog import NetworkSource
from nasviz.errors import RunBusyError, RunStateError
from nasviz.jobs import Construct, cancel_run, is_starting, start_run, submit
from nasviz.runs import Run, RunSettings, Store
from nasviz.runs.files import read_json

NARROW = NetworkSource("demonet", (1, 8, 8), settings={"width": 0.05})


def wait_for(condition, seconds: float = 120.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return bool(condition())


def new_run(folder: Path, epochs: int) -> Run:
    settings = RunSettings.of(
        network=NARROW, target_sparsity=2, epochs=epochs, device="cpu", checkpoint_steps=10
    )
    return Store(folder).create(settings)


def test_a_run_goes_from_start_to_sub_network_and_its_worker_is_buried(tmp_path: Path) -> None:
    run = new_run(tmp_path, epochs=1)
    start_run(run)
    assert is_starting(run) or run.is_active
    assert wait_for(lambda: run.state == "done", 240), (run.folder / "out.log").read_text()
    assert run.end.result["max_relative_error"] < 1e-5
    pid = read_json(run.folder / "pid.json")["pid"]
    assert wait_for(lambda: not psutil.pid_exists(pid))
    assert not is_starting(run)
    with pytest.raises(RunStateError, match="is done"):
        start_run(run)

    by_hand = submit(Construct(run=run.folder, erased=[1])).require()
    assert by_hand.folder == run.folder / "by-hand"
    assert 0 <= by_hand.report["accuracy_subnet"] <= 1


def test_a_run_is_started_once_cancelled_in_time_and_resumed(tmp_path: Path) -> None:
    run = new_run(tmp_path, epochs=5000)
    start_run(run)
    with pytest.raises(RunBusyError):
        start_run(run)
    assert wait_for(lambda: run.tail().last_step >= 0)
    with pytest.raises(RunBusyError):
        start_run(run)
    start = time.monotonic()
    assert cancel_run(run, wait_s=10)
    assert time.monotonic() - start < 6
    assert run.state == "cancelled"

    step = run.tail().last_step
    start_run(run)
    assert wait_for(lambda: run.tail().last_step > step)
    assert cancel_run(run, wait_s=10)
    assert cancel_run(run)
