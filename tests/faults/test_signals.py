"""What ends a process from outside ends its run in order: `kill`, a closed terminal, Ctrl-C, in any phase."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from nasviz.runs import Run, Store, Sweep, SweepStore
from tests.jobs.quick_worker import let_go
from tests.runs.conftest import wait_until

ROOT = Path(__file__).parents[2]
TRAIN = ["--model", "mlp_digits", "--target-sparsity", "0", "--batch-size", "32", "--device", "cpu"]
Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts Python with these arguments, in the foreground as far as it knows."""
    processes = []

    def run(*arguments: str, **options: object) -> subprocess.Popen[bytes]:
        variables = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        out = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
        command = [sys.executable, "-P", *arguments]
        process = subprocess.Popen(command, env=variables, cwd=tmp_path, **(out | options))
        processes.append(process)
        return process

    yield run
    for process in processes:
        process.kill()
        process.wait()


def train(folder: Path) -> list[str]:
    options = ["--epochs", "2000", "--checkpoint-steps", "1000000", "--runs", str(folder)]
    return ["-m", "nasviz", "train", *TRAIN, *options]


def only_run(folder: Path) -> Run | None:
    found = Store(folder).list()
    return Store(folder).open(found[0].id) if found else None


def has_trained(folder: Path, after: int = 3) -> bool:
    run = only_run(folder)
    return run is not None and run.tail().last_step > after


def assert_ended_in_order(run: Run) -> None:
    assert run.state == "cancelled"
    (told,) = [event for event in run.tail().events if event.kind == "cancel"]
    assert told.text == f"cancelled after {run.tail().last_step + 1} steps"
    assert (run.folder / "checkpoint.pt").exists(), "there is no other one: one in a million steps"


def test_sigterm_saves_a_checkpoint_and_what_nohup_ignores_stays_ignored(
    tmp_path: Path, start: Start
) -> None:
    folder = tmp_path / "runs"
    process = start(*train(folder), preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    wait_until(lambda: has_trained(folder), limit_s=600)
    process.send_signal(signal.SIGHUP)
    run = only_run(folder)
    assert run is not None
    step = run.tail().last_step
    wait_until(lambda: has_trained(folder, after=step + 50), limit_s=60)
    process.send_signal(signal.SIGTERM)

    assert process.wait(timeout=240) == 128 + signal.SIGTERM
    assert process.stderr is not None
    assert b"Traceback" not in process.stderr.read()
    assert_ended_in_order(run)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    """A terminal of its own for one process: where its ends are, what starts it, and how it is closed."""
    mine, theirs = pty.openpty()
    code = "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    code += "os.execv(sys.executable, [sys.executable, '-P', *sys.argv[1:]])"
    made = Terminal(("-c", code), {"stdin": theirs, "stdout": theirs, "stderr": theirs}, mine)
    yield made
    os.close(theirs)
    made.close()


@dataclass
class Terminal:
    """See the fixture `terminal`."""

    prefix: tuple[str, ...]
    ends: dict[str, int]
    end: int | None

    def close(self) -> None:
        if self.end is not None:
            os.close(self.end)
            self.end = None


@pytest.mark.slow  # `make test` closes the terminal of a sweep, below
def test_a_terminal_that_is_closed_ends_the_run_in_order(
    tmp_path: Path, start: Start, terminal: Terminal
) -> None:
    folder = tmp_path / "runs"
    process = start(*terminal.prefix, *train(folder), **terminal.ends)
    wait_until(lambda: has_trained(folder), limit_s=600)
    terminal.close()

    assert process.wait(timeout=240) == 128 + signal.SIGHUP
    run = only_run(folder)
    assert run is not None
    assert_ended_in_order(run)


def test_an_interrupt_during_the_imports_ends_the_run_at_once(tmp_path: Path, start: Start) -> None:
    folder = tmp_path / "runs"
    process = start(*train(folder))
    wait_until(lambda: (run := only_run(folder)) is not None and run.state == "running", limit_s=120)
    process.send_signal(signal.SIGINT)

    assert process.wait(timeout=240) == 128 + signal.SIGINT
    run = only_run(folder)
    assert run is not None
    assert run.state == "cancelled"
    assert run.tail().last_step == -1, "it did not wait for the training to begin"


SWEEP = """
import sys
from nasviz.jobs import launch
launch.WORKER = "tests.jobs.quick_worker"
from nasviz.cli import main
options = ["--mixup", "0.5", "--epochs", "8", "--device", "cpu", "--slots", "2"]
sys.exit(main(["sweep", "--model", "demonet", "--grid", "seed=0..2", *options, "--runs", sys.argv[1]]))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=["sigterm", "closed terminal"])
def test_a_sweep_in_the_foreground_lets_its_runs_end_in_order(
    tmp_path: Path, start: Start, terminal: Terminal, number: signal.Signals
) -> None:
    folder = tmp_path / "runs"
    if number is signal.SIGHUP:
        process = start(*terminal.prefix, "-c", SWEEP, str(folder), **terminal.ends)
    else:
        process = start("-c", SWEEP, str(folder))

    def waiting() -> list[Run]:
        sweeps = SweepStore(folder).list()
        runs = SweepStore(folder).open(sweeps[0].id).runs() if sweeps else ()
        return [run for run in runs if run is not None and run.tail().last_step == 4]

    wait_until(lambda: len(waiting()) == 2, limit_s=120)
    if number is signal.SIGHUP:
        terminal.close()
    else:
        process.send_signal(number)
    assert process.wait(timeout=240) == 128 + number
    sweep = Sweep(next((folder / ".sweeps").iterdir()))
    assert sweep.state == "stopped"
    assert [run and run.state for run in sweep.runs()] == ["cancelled", "cancelled", None]
    for run in sweep.runs():
        let_go(run)


FORKED = """
import os, signal, sys, time
from nasviz.runs.stopping import stop_on_signals
asked = []
with stop_on_signals(lambda: asked.append(1) is None) as stop:
    child = os.fork()
    if child == 0:
        time.sleep(60)
        os._exit(0)
    time.sleep(0.3)
    os.kill(child, signal.SIGTERM)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGTERM, status
    assert not asked and stop.number is None
    os.kill(os.getpid(), signal.SIGTERM)
    assert asked == [1] and stop.exit_code == 143
    try:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)
    except KeyboardInterrupt:
        sys.exit(7)
"""


def test_a_forked_child_dies_of_its_own_signal_and_asks_for_nothing(start: Start) -> None:
    assert start("-c", FORKED).wait(timeout=60) == 7
