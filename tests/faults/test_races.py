"""Requests, ends and locks race; damaged runs lie among good ones: nothing is lost, nothing runs twice."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from nasviz import jobs
from nasviz.catalog import NetworkSource
from nasviz.cli.sweep_progress import sweep_lines
from nasviz.errors import RunBusyError, RunStateError
from nasviz.jobs import Scheduler, Slot, launch
from nasviz.runs import Run, RunSettings, Store, Sweep, SweepSettings, SweepStore, axis, lock
from nasviz.runs.ablation_folder import AblationFolder
from nasviz.runs.requests import forget_request, read_request, write_request
from tests.jobs.quick_worker import let_go
from tests.runs.conftest import wait_until

ROOT = Path(__file__).parents[2]
TWO = (Slot("a"), Slot("b"))


@pytest.fixture(autouse=True)
def late_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "WORKER", "tests.jobs.late_worker")


@pytest.fixture(autouse=True)
def no_worker_left(tmp_path: Path) -> Iterator[None]:
    yield
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if str(tmp_path) in " ".join(process.cmdline()):
                process.kill()


def settings(**changes: object) -> RunSettings:
    return RunSettings.of(network=NetworkSource("demonet"), device="cpu", **{"epochs": 8, **changes})


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Store(tmp_path / "runs").create(settings(mixup=0.5))  # waits after step 4


def fail(run: Run) -> None:
    from nasviz.runs.ending import write_end

    write_end(run.folder, "failed", error="it was the weather")


@pytest.mark.parametrize("before", [lambda run: None, lambda run: run.request("cancel"), fail])
def test_a_cancel_right_after_a_start_is_obeyed_however_the_run_had_ended(
    run: Run, before: Callable[[Run], None]
) -> None:
    before(run)
    jobs.start_run(run)
    assert run.state == "running", "its worker holds the run from the first moment on"
    assert not jobs.cancel_run(run), "it was asked, and is still on its way"
    wait_until(lambda: not run.is_active)
    assert run.state == "cancelled"
    assert run.tail().last_step == -1
    assert run.end.error is None


def test_a_pause_right_after_a_start_is_kept_for_the_worker(run: Run) -> None:
    jobs.start_run(run)
    run.request("pause")
    wait_until(lambda: run.tail().last_step >= 4)
    assert read_request(run.folder) == "pause"
    jobs.cancel_run(run, wait_s=20)


def test_a_worker_that_dies_before_it_signs_in_leaves_a_run_that_can_be_started(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.request("cancel")
    monkeypatch.setattr(launch, "WORKER", "tests.jobs.no_such_worker")
    jobs.start_run(run)
    wait_until(lambda: not run.is_active)
    assert run.state == "created", "the old end is not that of the new start"
    monkeypatch.setattr(launch, "WORKER", "tests.jobs.late_worker")
    let_go(run)
    jobs.start_run(run)
    wait_until(lambda: run.state == "done")


def test_a_start_drops_what_was_asked_before_it_and_an_answer_only_what_it_answers(tmp_path: Path) -> None:
    write_request(tmp_path, "pause")
    forget_request(tmp_path, only="resume")
    assert read_request(tmp_path) == "pause", "it replaced the request that was answered"
    forget_request(tmp_path, before=0.0)
    assert read_request(tmp_path) == "pause", "it came after the start"
    forget_request(tmp_path, before=4e9)
    assert read_request(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def sweeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SweepStore:
    monkeypatch.setattr(launch, "SCHEDULER", "tests.jobs.quick_scheduler")
    return SweepStore(tmp_path / "runs")


def test_a_stop_right_after_the_start_of_a_sweep_is_obeyed(sweeps: SweepStore) -> None:
    sweep = sweeps.create(SweepSettings(settings(), (axis("seed", range(3)),)))
    jobs.start_sweep(sweep, slots=1)
    assert jobs.stop_sweep(sweep, wait_s=60)
    assert sweep.state == "stopped"
    assert not any(run is not None and run.state == "done" for run in sweep.runs())


def test_a_stop_right_after_the_start_of_an_ablation_is_obeyed(tmp_path: Path) -> None:
    place = AblationFolder(tmp_path / "ablation")
    jobs.start_ablation(place, seeds=1, epochs=1)
    with pytest.raises(RunBusyError):
        jobs.start_ablation(place, seeds=1, epochs=1)
    place.ask_to_stop()
    wait_until(lambda: not place.is_active, limit_s=120)
    assert place.points == []


def second_worker(run: Run) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.jobs.quick_worker", str(run.folder)]
    variables = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, env=variables, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT
    )


def test_a_deleted_lock_lets_no_second_worker_in(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "WORKER", "tests.jobs.quick_worker")
    jobs.start_run(run)
    wait_until(lambda: run.tail().last_step == 4)
    for name in ("run.lock", "pid.json"):  # as `git clean` would
        (run.folder / name).unlink()

    assert run.state == "running"
    with pytest.raises(RunBusyError):
        jobs.start_run(run)
    second = second_worker(run)
    assert second.returncode == 1
    assert "RunBusyError" in second.stderr
    assert run.state == "running", "the second one left a lock file that nobody holds"

    assert jobs.cancel_run(run, wait_s=20)
    with lock.acquire(run.folder):
        assert run.state == "running"
    assert run.state == "cancelled"


def test_the_lock_passes_to_the_worker_and_dies_with_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "WORKER", "tests.jobs.quick_worker")
    jobs.start_run(run)
    wait_until(lambda: run.tail().last_step == 4)
    (worker,) = (p for p in psutil.Process().children() if str(run.folder) in p.cmdline())
    os.kill(worker.pid, signal.SIGKILL)
    wait_until(lambda: run.state == "crashed")


def damage_config(folder: Path) -> None:
    (folder / "config.json").write_text('{"settings": ')


def damage_settings(folder: Path) -> None:
    text = (folder / "config.json").read_text()
    (folder / "config.json").write_text(text.replace('"epochs": 8', '"epochs": "many"'))


def damage_end(folder: Path) -> None:
    (folder / "end.json").write_text('{"state": "well"}')


def damage_store(folder: Path) -> None:
    (folder / "run.db").write_bytes(b"no database" * 500)


def damage_lock(folder: Path) -> None:
    (folder / "run.lock").mkdir()


@pytest.mark.parametrize(
    "damage",
    [damage_config, damage_settings, damage_end, damage_store, damage_lock],
    ids=lambda d: d.__name__,
)
def test_a_damaged_run_counts_as_failed_and_its_sweep_goes_on(
    sweeps: SweepStore, damage: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "WORKER", "tests.jobs.quick_worker")
    sweep = sweeps.create(SweepSettings(settings(), (axis("seed", range(3)),)))
    bad = Store(sweeps.runs.folder).create(sweep.settings_at(0), run_id=sweep.run_id(0), parent=sweep.id)
    damage(bad.folder)

    with Scheduler(sweep, TWO) as scheduler:
        assert scheduler.run() == "done"
    assert sweep.state == "done"
    others = [run.state for run in sweep.runs()[1:] if run is not None]
    assert others == ["done", "done"]
    summary = sweep.summaries()[0]
    assert summary is not None
    assert summary.state == "failed"
    (told,) = [line for line in sweep_lines(sweep) if bad.id in line and "damaged" in line]
    assert summary.problem in told
    assert sweeps.list()[0].problem is None
    assert sweeps.list()[0].counts["failed"] == 1
    with pytest.raises(RunStateError, match=bad.id):
        jobs.start_sweep(sweep)

    with Scheduler(sweep, TWO, retry_failed=True) as scheduler:
        assert scheduler.run() == "done"
    shutil.rmtree(bad.folder)  # as the words advise: then it is made anew
    with Scheduler(sweep, TWO) as scheduler:
        assert scheduler.run() == "done"
    assert [run.state for run in sweep.runs() if run is not None] == ["done"] * 3


def test_the_runs_of_a_killed_scheduler_keep_their_slots_while_they_start(sweeps: SweepStore) -> None:
    sweep = sweeps.create(SweepSettings(settings(mixup=0.5), (axis("seed", range(4)),)))
    jobs.start_sweep(sweep, slots=2)
    wait_until(lambda: sum(run is not None and run.is_active for run in sweep.runs()) == 2)
    (scheduler,) = (p for p in psutil.Process().children() if str(sweep.folder) in p.cmdline())
    os.kill(scheduler.pid, signal.SIGKILL)
    wait_until(lambda: sweep.state == "stopped")

    most = []

    def look() -> None:
        most.append(sum(run is not None and run.is_active for run in sweep.runs()))
        for run in sweep.runs():
            let_go(run)

    with Scheduler(Sweep(sweep.folder), TWO, listener=look) as following:
        assert following.run() == "done"
    assert max(most) == 2
