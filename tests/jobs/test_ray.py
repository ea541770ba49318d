"""A sweep on Ray: the runs of local slots, with the same results, also where a worker is killed."""

import os
import signal
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from nasviz.catalog import NetworkSource
from nasviz.errors import InvalidSettingError, MissingPackageError
from nasviz.jobs import Scheduler, Slot, launch, ray_engine, scheduler_of
from nasviz.runs import RunSettings, Sweep, SweepSettings, SweepStore, axis
from nasviz.runs.files import PID, read_json
from tests.train.conftest import short_settings, timeless


def six(store: SweepStore, base: RunSettings, *axes: Any) -> Sweep:
    return store.create(SweepSettings(base, axes))


@pytest.fixture
def sweeps(tmp_path: Path) -> SweepStore:
    return SweepStore(tmp_path / "runs")


def test_without_ray_it_says_what_to_install(sweeps: SweepStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    sweep = six(sweeps, RunSettings.of(network=NetworkSource("demonet")))
    with pytest.raises(MissingPackageError, match=r"pip install 'nasviz\[ray\]'"):
        scheduler_of(sweep, "ray")
    with pytest.raises(InvalidSettingError, match="choose one of local, ray"):
        scheduler_of(sweep, "slurm")
    assert sweep.state == "created"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Ray's processes import the worker that stands in for a real one."""
    monkeypatch.setattr(launch, "WORKER", "tests.jobs.quick_worker")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


@pytest.mark.slow
@pytest.mark.parametrize("is_guarded", [True, False], ids=["guarded", "negative control"])
def test_no_worker_imports_modules_of_the_current_folder(
    sweeps: SweepStore, quick: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_guarded: bool
) -> None:
    pytest.importorskip("ray")
    canary, folder = tmp_path / "canary", tmp_path / "of a stranger"
    (folder / "tests").mkdir(parents=True)
    (folder / "tests" / "__init__.py").write_text(f"open({str(canary)!r}, 'w')")
    sweep = six(sweeps, RunSettings.of(network=NetworkSource("demonet"), device="cpu", epochs=2))
    monkeypatch.chdir(folder)
    if not is_guarded:
        monkeypatch.setattr(ray_engine.contextlib, "chdir", nullcontext)
    with scheduler_of(sweep, "ray") as scheduler:
        scheduler.run()
    assert canary.exists() is not is_guarded
    assert [run.state for run in sweep.runs() if run] == (["done"] if is_guarded else ["failed"])


@pytest.mark.slow
def test_tasks_that_die_or_fail_are_told_apart_from_those_that_are_done(
    sweeps: SweepStore, quick: None
) -> None:
    pytest.importorskip("ray")
    base = RunSettings.of(network=NetworkSource("demonet"), device="cpu", epochs=8)
    sweep = six(sweeps, base, axis("mixup", (0, 1, 2, 3, 4, 5)))
    with scheduler_of(sweep, "ray") as scheduler:
        assert scheduler.run() == "done"
    runs = [run for run in sweep.runs() if run is not None]
    assert [run.state for run in runs] == ["done", "done", "failed", "failed", "failed", "done"]
    assert runs[1].tail().steps.step.tolist() == list(range(8))  # killed once
    errors = [run.end.error or "" for run in runs if run.end]
    assert "3 workers died one after the other after step 2" in errors[2]
    assert errors[3] == "the data are damaged"
    assert "no such library" in errors[4]

    long = six(sweeps, RunSettings.of(network=NetworkSource("demonet"), device="cpu", epochs=400))
    stopping = scheduler_of(long, "ray", listener=lambda: _stop_once_at_work(long))
    with stopping as scheduler:
        assert scheduler.run() == "stopped"
    assert [run.state for run in long.runs() if run] == ["cancelled"]


@pytest.mark.slow
def test_a_sweep_on_ray_ends_as_one_on_local_slots_though_a_worker_is_killed(sweeps: SweepStore) -> None:
    pytest.importorskip("ray")
    axes = (axis("target_sparsity", (1, 3)), axis("seed", range(3)))
    local, far = (six(sweeps, short_settings(), *axes) for _ in range(2))
    with Scheduler(local, (Slot("cpu", {"OMP_NUM_THREADS": "1"}),)) as scheduler:
        assert scheduler.run() == "done"

    killed: list[int] = []

    def kill_one() -> None:
        run = far.run(1)
        if run is not None and not killed and run.tail().last_step >= 4:
            killed.append(read_json(run.folder / PID)["pid"])
            os.kill(killed[0], signal.SIGKILL)

    with scheduler_of(far, "ray", listener=kill_one) as scheduler:
        assert scheduler.run() == "done"
    assert killed
    pairs = [(a, b) for a, b in zip(local.runs(), far.runs(), strict=True) if a and b]
    assert len(pairs) == 6
    for here, there in pairs:
        assert timeless(here) == timeless(there)
        assert here.tail().steps.loss.tolist() == there.tail().steps.loss.tolist()
    assert any(event.kind == "resume" for event in pairs[1][1].tail().events)


def _stop_once_at_work(sweep: Sweep) -> None:
    run = sweep.run(0)
    if run is not None and run.tail().last_step > 2 and not sweep.is_asked_to_stop:
        sweep.ask_to_stop()
