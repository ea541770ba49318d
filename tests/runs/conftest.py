"""A store in a temporary folder, and real processes that write its runs."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nasviz.catalog import NetworkSource
from nasviz.runs import Run, RunSettings, Store

SCRIPT = Path(__file__).with_name("run_writing.py")
REPOSITORY = Path(__file__).parents[2]
Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def settings() -> RunSettings:
    return RunSettings.of(network=NetworkSource("demonet"), target_sparsity=2)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs")


@pytest.fixture
def run(store: Store, settings: RunSettings) -> Run:
    return store.create(settings)


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a process that writes a run; ends it after the test, and leaves it a zombie until then."""
    processes = []

    def launch(run: Run, num_steps: int = 100_000, pause_s: float = 0.001) -> subprocess.Popen[bytes]:
        command = [sys.executable, str(SCRIPT), str(run.folder), str(num_steps), str(pause_s)]
        paths = [str(REPOSITORY), os.environ.get("PYTHONPATH", "")]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
        )
        processes.append(process)
        return process

    yield launch
    for process in processes:
        process.kill()
        process.communicate()


def wait_until(condition: Callable[[], bool], limit_s: float = 60.0) -> None:
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)
