"""Sweeps on the command line: a grid from start to table, and nothing lost when processes are killed."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from nasviz.jobs import launch
from nasviz.runs import Run, Store, Sweep, SweepStore
from nasviz.runs.files import PID, read_json
from nasviz.train import work
from tests.cli.conftest import SMALL, Command, start
from tests.jobs.quick_worker import let_go
from tests.runs.conftest import wait_until
from tests.train.conftest import timeless

MODEL = ["--model", *SMALL]
SHORT = ["--device", "cpu", "--batch-size", "128", "--warmup-steps", "4", "--projection-steps", "4"]


def only_sweep(runs: Path) -> Sweep:
    (summary,) = SweepStore(runs).list()
    return SweepStore(runs).open(summary.id)


def has_steps(run: Run | None, count: int) -> bool:
    return run is not None and run.tail().last_step >= count


def kill_both(scheduler: subprocess.Popen[str], runs: Path, after: int) -> tuple[Sweep, Run]:
    """Kill the scheduler and the worker of the first run once it has made this many steps."""
    wait_until(lambda: bool(SweepStore(runs).list()), limit_s=120)
    sweep = only_sweep(runs)
    wait_until(lambda: has_steps(sweep.run(0), after), limit_s=120)
    scheduler.kill()
    scheduler.communicate()
    first = sweep.run(0)
    assert first is not None
    os.kill(read_json(first.folder / PID)["pid"], signal.SIGKILL)
    wait_until(lambda: first.state == "crashed")
    assert (sweep.state, sweep.run(1)) == ("stopped", None)
    return sweep, first


def test_a_sweep_whose_scheduler_and_worker_were_killed_is_resumed_shown_and_deleted(
    tmp_path: Path, nasviz: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "WORKER", "tests.jobs.quick_worker")
    runs = tmp_path / "runs"
    options = ["--grid", "mixup=0.5,0", "--epochs", "8", "--slots", "1"]  # the first waits after step 4
    scheduler = start("sweep", *MODEL, *SHORT, *options, "--runs", runs, module="tests.cli.quick_cli")
    sweep, first = kill_both(scheduler, runs, after=4)

    let_go(first)
    said = nasviz("sweep", "resume", sweep.id, "--runs", "@runs", "--slots", "1")

    assert said.code == 0
    assert "done, 2 of 2 done" in said.out
    assert sweep.state == "done"
    for run in sweep.runs():
        assert run is not None
        assert run.tail().steps.step.tolist() == list(range(8))

    document = json.loads(nasviz("sweep", "show", sweep.id, "--runs", "@runs", "--json").out)
    assert [run["settings"]["mixup"] for run in document["runs"]] == [0.5, 0]
    assert sweep.id in nasviz("sweep", "list", "--runs", "@runs").out
    assert nasviz("sweep", "resume", sweep.id, "--runs", "@runs").code == 0
    nasviz("sweep", "delete", sweep.id, "--runs", "@runs")
    assert nasviz("runs", "list", "--runs", "@runs").out.startswith("no runs")


@pytest.mark.slow  # real workers; `make test` kills those in tests/train and tests/faults
def test_scheduler_and_worker_are_killed_and_every_run_ends_as_if_nothing_had_happened(
    tmp_path: Path, nasviz: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Sums depend on the number of threads, so all processes of the comparison use one.
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    runs = tmp_path / "runs"
    options = ["--grid", "target_sparsity=1,3", "--epochs", "6", "--checkpoint-steps", "5", "--slots", "1"]
    scheduler = start("sweep", *MODEL, *SHORT, *options, "--runs", runs)
    sweep, first = kill_both(scheduler, runs, after=12)

    said = nasviz("sweep", "resume", sweep.id, "--runs", "@runs", "--slots", "1")

    assert said.code == 0
    assert "done, 2 of 2 done" in said.out
    assert sweep.state == "done"
    undisturbed = Store(tmp_path / "others").create(first.settings)
    work(undisturbed)
    assert first.tail().steps.loss.tolist() == undisturbed.tail().steps.loss.tolist()
    assert timeless(first) == timeless(undisturbed)
    assert "resume" in [event.kind for event in first.tail().events]


def test_a_selection_that_cuts_the_network_apart_is_a_result(tmp_path: Path, nasviz: Command) -> None:
    runs = tmp_path / "runs"
    said = nasviz(
        *("train", *MODEL, *SHORT, "--epochs", "1", "--optimizer", "dhspg", "--target-sparsity", "6"),
        *("--runs", "@runs"),
    )
    (summary,) = Store(runs).list()

    assert said.code == 0
    assert "invalid: no path left" in said.out
    assert "export it" not in said.out
    assert (summary.state, summary.is_invalid) == ("done", True)
    assert summary.result["outcome"] == "invalid: no path left"
    assert "accuracy_subnet" not in summary.result
    assert "invalid: no path left" in nasviz("runs", "list", "--runs", "@runs").out
    said = nasviz("export", summary.id, "--runs", "@runs", "--onnx", tmp_path / "x.onnx")
    assert (said.code, "cuts the outputs off" in said.err) == (2, True)


@pytest.mark.slow
def test_ctrl_c_stops_the_runs_at_a_checkpoint(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    scheduler = start(
        "sweep", *MODEL, *SHORT, "--epochs", "1000", "--grid", "seed=0,1", "--slots", "1", "--runs", runs
    )
    wait_until(lambda: bool(SweepStore(runs).list()), limit_s=120)
    sweep = only_sweep(runs)
    wait_until(lambda: has_steps(sweep.run(0), 3), limit_s=120)
    scheduler.send_signal(signal.SIGINT)
    asked = time.monotonic()
    out, _ = scheduler.communicate(timeout=60)

    assert time.monotonic() - asked < 30
    assert scheduler.returncode == 130
    assert f"go on with: nasviz sweep resume {sweep.id}" in out
    assert [run and run.state for run in sweep.runs()] == ["cancelled", None]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--grid", "seed=0,1"], "needs a network or a preset"),
        ([*MODEL, "--grid", "seed=1,1"], "the same run twice"),
        ([*MODEL, "--grid", "lr=-1"], "at lr=-1"),
    ],
)
def test_a_sweep_that_cannot_be_is_refused_before_it_begins(
    nasviz: Command, tmp_path: Path, arguments: list[str], words: str
) -> None:
    said = nasviz("sweep", *arguments, "--runs", "@runs")
    assert (said.code, words in said.err) == (2, True)
    assert not (tmp_path / "runs").exists()
