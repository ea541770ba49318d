"""The scheduler: how many work at a time, who is started again, who is given up, who is let in."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from nasviz import jobs
from nasviz.catalog import NetworkSource
from nasviz.cli.sweep_progress import sweep_lines
from nasviz.errors import RunBusyError, RunStateError
from nasviz.jobs import Scheduler, Slot, launch, local_slots, slots
from nasviz.runs import BisectionSettings, RunSettings, Sweep, SweepSettings, SweepStore, axis, cells
from tests.jobs.quick_worker import let_go
from tests.runs.conftest import wait_until

ROOT = Path(__file__).parents[2]
TWO = (Slot("a", {"SLOT": "a"}), Slot("b", {"SLOT": "b"}))


@pytest.fixture(autouse=True)
def quick_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "WORKER", "tests.jobs.quick_worker")


@pytest.fixture
def sweeps(tmp_path: Path) -> Iterator[SweepStore]:
    store = SweepStore(tmp_path / "runs")
    yield store
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # one that has just ended is a zombie for a moment
            if str(tmp_path) in " ".join(process.cmdline()):
                process.kill()


def grid(sweeps: SweepStore, *axes: Any, **settings: Any) -> Sweep:
    base = RunSettings.of(network=NetworkSource("demonet"), device="cpu", **{"epochs": 8, **settings})
    return sweeps.create(SweepSettings(base, axes))


def let_all_go(sweep: Sweep) -> None:
    for run in sweep.runs():
        let_go(run)


def states(sweep: Sweep) -> list[str]:
    return ["waiting" if run is None else run.state for run in sweep.runs()]


def test_runs_share_the_slots_and_all_are_done(sweeps: SweepStore) -> None:
    sweep = grid(sweeps, axis("seed", range(5)))
    at_work: list[int] = []
    with Scheduler(sweep, TWO, listener=lambda: at_work.append(states(sweep).count("running"))) as scheduler:
        assert sweep.state == "running"
        assert scheduler.run() == "done"

    assert max(at_work) <= 2
    assert (sweep.state, states(sweep)) == ("done", ["done"] * 5)
    assert {run.end.result["slot"] for run in sweep.runs() if run and run.end} == {"a", "b"}
    with pytest.raises(RunStateError, match="none of its 5 runs is left"):
        jobs.start_sweep(sweep)


def test_a_killed_worker_is_started_again_and_goes_on(sweeps: SweepStore) -> None:
    sweep = grid(sweeps, axis("mixup", (1, 0)))
    with Scheduler(sweep, TWO) as scheduler:
        assert scheduler.run() == "done"
    killed = sweep.run(0)
    assert killed is not None
    assert killed.tail().steps.step.tolist() == list(range(8))
    assert states(sweep) == ["done", "done"]


def test_a_worker_that_dies_again_and_again_is_given_up_and_the_rest_goes_on(sweeps: SweepStore) -> None:
    sweep = grid(sweeps, axis("mixup", (2, 3, 4, 0)))
    with Scheduler(sweep, TWO) as scheduler:
        assert scheduler.run() == "done"

    assert states(sweep) == ["failed", "failed", "failed", "done"]
    errors = [run.end.error or "" for run in sweep.runs() if run and run.end]
    assert "3 workers died one after the other after step 2" in errors[0]
    assert errors[1] == "the data are damaged"
    assert "before its first step" in errors[2]
    assert "no such library" in errors[2]


def test_a_sweep_that_is_stopped_is_resumed_where_it_was(sweeps: SweepStore) -> None:
    sweep = grid(sweeps, axis("seed", range(3)), mixup=0.5)

    def stop_once_two_are_at_work() -> None:
        if states(sweep).count("running") == 2 and not sweep.is_asked_to_stop:
            sweep.ask_to_stop()

    with Scheduler(sweep, TWO, listener=stop_once_two_are_at_work) as scheduler:
        assert scheduler.run() == "stopped"
    assert states(sweep) == ["cancelled", "cancelled", "waiting"]
    assert sweep.state == "stopped"

    with Scheduler(sweep, TWO, listener=lambda: let_all_go(sweep)) as scheduler:
        assert scheduler.run() == "done"
    for run in sweep.runs():
        assert run is not None
        assert run.tail().steps.step.tolist() == list(range(8))


def bisection(sweeps: SweepStore, target: int, **settings: Any) -> Sweep:
    base = RunSettings.of(network=NetworkSource("demonet"), optimizer="gsparsity", device="cpu", **settings)
    return sweeps.create(SweepSettings(base, bisection=BisectionSettings(target, (0.1, 1.0, 10.0))))


def test_a_bisection_goes_on_run_by_run_until_its_target_is_found(sweeps: SweepStore) -> None:
    sweep = bisection(sweeps, 12, epochs=2)
    assert [point["mu"] for point in sweep.points] == [0.1]
    with Scheduler(sweep, TWO) as scheduler:
        assert scheduler.run() == "done"
    assert [(round(t.mu, 2), t.survivors) for t in sweep.trials] == [
        (0.1, 20),
        (1.0, 19),
        (10.0, 10),
        (5.5, 15),
        (7.75, 13),
        (8.88, 12),
    ]
    assert sweep.state == "done"
    assert sweep.found is not None
    assert sweep.found.survivors == 12
    runs = [run for run in sweep.runs() if run is not None]
    assert [run.settings.value("mu") for run in runs] == [point["mu"] for point in sweep.points]
    assert Sweep(sweep.folder).settings == sweep.settings


def test_a_bisection_that_is_stopped_goes_on_with_the_same_trial(sweeps: SweepStore) -> None:
    sweep = bisection(sweeps, 12, epochs=8, mixup=0.5)

    def stop_in_the_third_trial() -> None:
        for run in sweep.runs()[:2]:
            let_go(run)
        if len(sweep.runs()) == 3 and states(sweep)[-1] == "running" and not sweep.is_asked_to_stop:
            sweep.ask_to_stop()

    with Scheduler(sweep, TWO, listener=stop_in_the_third_trial) as scheduler:
        assert scheduler.run() == "stopped"
    assert (sweep.state, states(sweep)) == ("stopped", ["done", "done", "cancelled"])
    with Scheduler(sweep, TWO, listener=lambda: let_all_go(sweep)) as scheduler:
        assert scheduler.run() == "done"
    assert len(sweep.trials) == 6
    assert states(sweep) == ["done"] * 6


def test_a_bisection_ends_at_a_trial_that_fails(sweeps: SweepStore) -> None:
    sweep = bisection(sweeps, 12, epochs=5, mixup=3)
    with Scheduler(sweep, TWO) as scheduler:
        assert scheduler.run() == "done"
    assert (states(sweep), sweep.trials, sweep.found) == (["failed"], (), None)


def test_the_hopeless_are_stopped_only_where_asked_and_stay_so(sweeps: SweepStore) -> None:
    slots = tuple(Slot(name) for name in "abcd")
    axes = (axis("lr", (0.8, 0.9, 0.1)), axis("target_sparsity", (1,)))
    settings = {"mixup": 5.5, "epochs": 10}
    patient = grid(sweeps, *axes, **settings)
    with Scheduler(patient, slots, listener=lambda: let_all_go(patient)) as scheduler:
        assert scheduler.run() == "done"
    assert states(patient) == ["done"] * 3

    base = RunSettings.of(network=NetworkSource("demonet"), device="cpu", **settings)
    strict = sweeps.create(SweepSettings(base, (*axes,), stop_hopeless=True))
    assert strict.settings.stop_hopeless

    def let_the_promising_go() -> None:
        for run in strict.runs()[:2]:
            let_go(run)

    with Scheduler(strict, slots, listener=let_the_promising_go) as scheduler:
        scheduler._stopper._clock = iter(range(10**6)).__next__  # at every look
        assert scheduler.run() == "done"
    assert states(strict) == ["done", "done", "cancelled"]
    assert strict.state == "done"
    (cell,) = (c for c in cells(strict) if c.num_stopped)
    assert cell.is_over
    stopped = strict.summaries()[2]
    assert stopped is not None
    assert "best accuracy 10.0%, median of 2 other runs 85.0%" in (stopped.verdict or "")
    assert "1 stopped by the median rule" in "\n".join(sweep_lines(strict))
    with Scheduler(strict, slots) as scheduler:  # a resume leaves it alone
        assert scheduler.run() == "done"
    assert states(strict)[2] == "cancelled"

    run = strict.run(2)
    assert run is not None
    let_go(run)
    jobs.start_run(run)  # a person may want it nevertheless
    wait_until(lambda: run.state == "done")
    assert strict.summaries()[2].verdict is None


def test_failed_runs_are_tried_again_when_asked(sweeps: SweepStore) -> None:
    sweep = grid(sweeps, axis("mixup", (3, 0)))
    for retry in (False, True):
        with Scheduler(sweep, TWO, retry_failed=retry) as scheduler:
            assert scheduler.run() == "done"
    failed = sweep.run(0)
    assert failed is not None
    assert [e.kind for e in failed.tail().events] == []
    assert states(sweep) == ["failed", "done"]


def test_a_run_that_a_person_cancels_is_left_and_one_deleted_is_made_anew_by_a_resume(
    sweeps: SweepStore,
) -> None:
    sweep = grid(sweeps, axis("seed", range(2)), mixup=0.5)

    def cancel_the_first() -> None:
        let_go(sweep.run(1))
        run = sweep.run(0)
        if run is not None and run.state == "running" and run.tail().last_step > 2:
            jobs.cancel_run(run)

    with Scheduler(sweep, TWO, listener=cancel_the_first) as scheduler:
        assert scheduler.run() == "stopped"
    assert states(sweep) == ["cancelled", "done"]

    sweeps.runs.delete(sweep.run_id(0))
    assert (states(sweep), sweep.state) == (["waiting", "done"], "stopped")
    with Scheduler(sweep, TWO, listener=lambda: let_all_go(sweep)) as scheduler:
        assert scheduler.run() == "done"
    assert states(sweep) == ["done", "done"]


def test_a_second_scheduler_is_refused_by_the_lock(sweeps: SweepStore) -> None:
    sweep = grid(sweeps, axis("seed", range(2)))
    with Scheduler(sweep, TWO):
        with (
            pytest.raises(RunBusyError, match=r"sweep .* already has a scheduler"),
            Scheduler(sweep, TWO),
        ):
            pass
        second = subprocess.run(
            [sys.executable, "-m", "nasviz.jobs.scheduler", str(sweep.folder)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert (second.returncode, "RunBusyError: sweep" in second.stderr) == (1, True)
        with pytest.raises(RunBusyError, match="at work already"):
            jobs.start_sweep(sweep)


def test_workers_outlive_a_killed_scheduler_and_the_next_one_waits_for_them(
    sweeps: SweepStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nasviz.jobs.launch.SCHEDULER", "tests.jobs.quick_scheduler")
    sweep = grid(sweeps, axis("seed", range(4)), mixup=0.5)
    jobs.start_sweep(sweep, slots=2)
    # A run counts as running from the moment its lock is taken, before there is a worker: wait for steps.
    wait_until(lambda: [run.tail().last_step for run in sweep.runs() if run] == [4, 4])
    scheduler = launch._WORKERS[sweep.folder]
    os.kill(scheduler.pid, signal.SIGKILL)
    scheduler.wait()

    assert (sweep.state, states(sweep).count("running")) == ("stopped", 2)  # the workers go on
    before = [run.environments for run in sweep.runs() if run]
    seen: list[int] = []

    def count_then_let_go() -> None:
        seen.append(states(sweep).count("running"))
        let_all_go(sweep)

    with Scheduler(sweep, TWO, listener=count_then_let_go) as second:
        assert second.run() == "done"
    assert max(seen) <= 2
    assert [run.environments for run in sweep.runs() if run][:2] == before
    assert states(sweep) == ["done"] * 4


def test_cores_share_the_threads_and_gpus_get_one_run_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "count_cpus", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert [slot.variables for slot in local_slots(["cpu"], 3)] == [{"OMP_NUM_THREADS": "2"}] * 3
    assert 1 <= len(local_slots(["auto"])) <= 8

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    assert [(slot.name, slot.variables["CUDA_VISIBLE_DEVICES"]) for slot in local_slots(["auto"])] == [
        ("gpu 2.0", "2"),
        ("gpu 5.0", "5"),
    ]
    assert [slot.name for slot in local_slots(["auto"], 3)] == ["gpu 2.0", "gpu 5.0", "gpu 2.1"]
    assert all("CUDA_VISIBLE_DEVICES" not in slot.variables for slot in local_slots(["cuda:0", "cuda:1"]))
    assert local_slots(["cpu"])[0].name == "cpu 0"
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert local_slots(["cpu"], 2)[0].variables["OMP_NUM_THREADS"] == "1"
