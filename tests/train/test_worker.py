"""The detached worker, as a real process: cancelled in time, refused twice, politely ended."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nasviz.runs import Run, Store
from tests.runs.conftest import wait_until
from tests.train.conftest import short_settings

REPOSITORY = Path(__file__).parents[2]
Launch = Callable[[Run], subprocess.Popen[bytes]]


@pytest.fixture
def launch() -> Iterator[Launch]:
    processes = []

    def start(run: Run) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "nasviz.train.worker", str(run.folder)],
            env=os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def queued_s(process: subprocess.Popen[bytes]) -> float:
    """Return how long a process has been ready to run and waited for a processor; Linux alone tells."""
    try:
        return int(Path(f"/proc/{process.pid}/schedstat").read_text().split()[1]) / 1e9
    except OSError:
        return 0.0


def ends_in_time(process: subprocess.Popen[bytes]) -> int:
    """Wait for the exit code: five seconds, without those in which other work had all processors."""
    start, queued = time.monotonic(), queued_s(process)
    while process.poll() is None:
        assert time.monotonic() - start - (queued_s(process) - queued) < 5.0
        time.sleep(0.02)
    return process.returncode


def is_training(run: Run) -> bool:
    assert run.state != "failed", run.end
    return run.tail().last_step >= 3


@pytest.fixture
def long_run(store: Store) -> Run:
    return store.create(short_settings(epochs=1000))


def test_a_cancel_is_heard_within_five_seconds_at_any_time(long_run: Run, launch: Launch) -> None:
    process = launch(long_run)
    wait_until(lambda: long_run.state == "running")
    long_run.request("cancel")  # torch is being imported, or the network traced

    assert ends_in_time(process) in (0, 1)  # 1 where it had to interrupt what cannot be asked
    assert long_run.state == "cancelled"

    long_run.forget_request()
    process = launch(long_run)
    wait_until(lambda: is_training(long_run), limit_s=120)
    second = launch(long_run)
    assert second.wait(timeout=60) == 1
    assert b"RunBusyError: run" in second.stderr.read()

    long_run.request("cancel")
    assert ends_in_time(process) == 0
    assert long_run.state == "cancelled"
    assert (long_run.folder / "checkpoint.pt").exists()


def test_a_polite_end_from_outside_reads_as_cancelled(long_run: Run, launch: Launch) -> None:
    process = launch(long_run)
    wait_until(lambda: is_training(long_run), limit_s=120)
    process.send_signal(signal.SIGTERM)

    assert ends_in_time(process) == 128 + signal.SIGTERM
    assert long_run.state == "cancelled"
    assert long_run.end.error is None
    assert long_run.tail().events[-1].text == f"cancelled after {long_run.tail().last_step + 1} steps"


def test_the_worker_holds_its_run_before_it_loads_torch() -> None:
    code = "import nasviz.train.worker, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=False).returncode == 0
