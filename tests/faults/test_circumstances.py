"""Clocks that jump, folders that move or go, and several servers: a run is what its files say."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from nasviz.jobs import cancel_run
from nasviz.runs import Run, Store
from tests.faults.conftest import Live
from tests.faults.examining import assert_ends_alike, examine
from tests.faults.killed import Kill
from tests.runs.conftest import wait_until
from tests.train.conftest import short_settings

REPOSITORY = Path(__file__).parents[2]


def test_a_clock_that_jumps_back_and_forth_by_a_day_changes_nothing(
    store: Store, live: Live, straight: Run
) -> None:
    run = store.create(short_settings(result="best"))
    assert live(run, Kill("step", count=12), jump_s=86_400.0) == -signal.SIGKILL
    assert run.state == "crashed"
    assert live(run, jump_s=-86_400.0) == 0

    assert_ends_alike(straight, run)
    steps = run.tail().steps
    assert (steps.seconds > 0).all()
    assert steps.seconds.sum() < 240
    assert (steps.examples_per_second > 0).all()
    assert 0 < run.end.result["search_seconds"] < 240


def test_a_folder_copied_to_another_place_opens_there_and_goes_on(
    store: Store, live: Live, straight: Run, tmp_path: Path
) -> None:
    run = store.create(short_settings(result="best"))
    assert live(run, Kill("step", count=12)) == -signal.SIGKILL
    elsewhere = tmp_path / "another machine's disk #1 %20 ?x=y" / "runs"
    shutil.copytree(run.folder, elsewhere / run.id)
    shutil.rmtree(store.folder / run.id)

    (summary,) = Store(elsewhere).list()
    assert (summary.id, summary.state, summary.problem) == (run.id, "crashed", None)
    copied = Store(elsewhere).open(run.id)
    assert live(copied) == 0
    assert_ends_alike(straight, copied)


def test_a_copy_that_names_a_living_process_has_no_worker(store: Store, live: Live) -> None:
    """Process ids of another machine mean nothing here; neither does this one's, which is alive."""
    run = store.create(short_settings())
    assert live(run, Kill("step", count=4)) == -signal.SIGKILL
    text = (run.folder / "pid.json").read_text()
    own = psutil.Process()
    (run.folder / "pid.json").write_text(
        f'{{"pid": {own.pid}, "create_time": {own.create_time()}, "started": 0}}'
    )
    assert str(own.pid) not in text
    assert run.state == "crashed"


@pytest.mark.parametrize(
    "place",
    [Kill("step", count=9, action="delete"), Kill("'subnet'", "sql", action="delete")],
    ids=["training", "construction"],
)
def test_a_folder_deleted_under_a_worker_ends_it_and_is_not_made_again(
    store: Store, live: Live, place: Kill
) -> None:
    run = store.create(short_settings())
    assert live(run, place) == 1
    assert list(store.folder.glob("*/*")) == []


SERVER = """
import sys, time
from nasviz.jobs import launch
from nasviz.errors import RunBusyError
from nasviz.runs import Store
launch.WORKER = "tests.jobs.quick_worker"
run = Store(sys.argv[1]).open(sys.argv[2])
try:
    launch.start_run(run)
    print("started", flush=True)
except RunBusyError:
    print("refused", flush=True)
time.sleep(600)
"""
Serve = Callable[[Run], subprocess.Popen[str]]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """A process that starts the worker of a run, as the server does, and lives on."""
    servers: list[subprocess.Popen[str]] = []
    runs: list[Run] = []

    def start(run: Run) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", SERVER, str(run.folder.parent), run.id]
        environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
        server = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        servers.append(server)
        runs.append(run)
        return server

    yield start
    for server in servers:
        server.kill()
        server.communicate()
    for run in runs:  # their workers outlive the servers
        for worker in workers(run):
            worker.kill()


def workers(run: Run) -> list[psutil.Process]:
    """Processes that work on a run, zombies among them."""
    every = psutil.process_iter(["cmdline"])
    return [process for process in every if str(run.folder) in (process.info["cmdline"] or [])]


def test_of_two_servers_on_one_folder_one_starts_the_worker_and_either_ends_it(
    store: Store, serve: Serve
) -> None:
    run = store.create(short_settings(epochs=30_000))  # the worker makes a step each 10 ms
    servers = [serve(run), serve(run)]
    said = [server.stdout.readline().strip() for server in servers]
    assert "started" in said
    wait_until(lambda: run.tail().last_step >= 3 and len(workers(run)) == 1)
    examine(run)

    servers[0].kill()
    servers[0].wait()
    step = run.tail().last_step
    wait_until(lambda: run.tail().last_step > step)
    assert run.state == "running"
    assert serve(run).stdout.readline().strip() == "refused"
    assert len(workers(run)) == 1

    assert cancel_run(run, wait_s=5)
    assert run.state == "cancelled"
    wait_until(lambda: workers(run) == [])


def test_a_worker_killed_under_a_living_server_is_no_zombie_for_long_and_is_followed_by_one(
    store: Store, serve: Serve
) -> None:
    run = store.create(short_settings(epochs=30_000))
    assert serve(run).stdout.readline().strip() == "started"
    wait_until(lambda: run.tail().last_step >= 3)
    (worker,) = workers(run)
    worker.kill()
    wait_until(lambda: run.state == "crashed")
    wait_until(lambda: not worker.is_running())
    step = run.tail().last_step
    assert serve(run).stdout.readline().strip() == "started"
    wait_until(lambda: run.tail().last_step > step)
    assert run.state == "running"
    assert cancel_run(run, wait_s=5)


def test_loader_processes_end_with_their_worker_and_hold_no_lock(store: Store, live: Live) -> None:
    run = store.create(short_settings(num_workers=2, epochs=50))
    assert live(run, Kill("step", count=9)) == -signal.SIGKILL
    assert run.state == "crashed", "a loader process must not keep the lock of its dead worker"
    wait_until(lambda: not users(run))


def users(run: Run) -> list[psutil.Process]:
    """Living processes that have a file of the run open."""
    found = []
    for process in psutil.process_iter():
        try:
            if any(file.path.startswith(str(run.folder)) for file in process.open_files()):
                found.append(process)
        except psutil.Error:
            continue  # it has ended meanwhile, or is somebody else's
    return found
