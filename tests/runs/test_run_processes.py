"""States hold up against real processes: killed, zombies, two at once, deleted under way."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest

from nasviz.errors import RunBusyError, RunNotFoundError, RunStateError
from nasviz.runs import Run, Store, Writer
from tests.runs.conftest import REPOSITORY, Start, wait_until


def running(run: Run, start: Start) -> subprocess.Popen[bytes]:
    process = start(run)
    wait_until(lambda: run.tail().last_step >= 5)
    return process


def test_a_killed_writer_reads_as_crashed_although_it_is_a_zombie(run: Run, start: Start) -> None:
    process = running(run, start)
    assert run.state == "running"

    os.kill(process.pid, signal.SIGKILL)
    wait_until(lambda: psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE)

    assert run.state == "crashed"
    assert not run.is_active


def test_a_killed_writer_leaves_whole_rows_and_can_be_followed_by_another(run: Run, start: Start) -> None:
    process = running(run, start)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = run.tail()

    assert before.steps.step.tolist() == list(range(before.last_step + 1))
    assert before.scores.steps.tolist() == before.steps.step.tolist()
    with Writer(run) as writer:
        writer.rewind(3)
        writer.finish("cancelled")
    assert run.tail().last_step == 3


def test_at_most_a_quarter_second_of_rows_is_lost(run: Run, start: Start) -> None:
    process = start(run, pause_s=0.01)
    wait_until(lambda: run.tail().last_step >= 40)
    time.sleep(0.37)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    last_step = int(run.folder.with_suffix(".step").read_text())

    # Steps take 10 ms or more, so a quarter second holds 25 of them; one more may be under way.
    assert 0 <= last_step - run.tail().last_step <= 26


def test_a_second_process_on_the_same_run_is_refused(run: Run, start: Start) -> None:
    running(run, start)
    second = start(run)

    assert second.wait(timeout=20) != 0
    assert b"RunBusyError" in second.stderr.read()
    with pytest.raises(RunBusyError), Writer(run):
        pass
    assert run.state == "running"


def test_of_many_processes_at_once_exactly_one_wins(run: Run, start: Start) -> None:
    processes = [start(run) for _ in range(3)]
    wait_until(lambda: sum(p.poll() is not None for p in processes) == 2)
    time.sleep(0.2)

    assert sum(p.poll() is None for p in processes) == 1
    assert run.state == "running"


def test_a_run_at_work_is_not_deleted_until_it_was_cancelled(run: Run, store: Store, start: Start) -> None:
    process = running(run, start)
    with pytest.raises(RunBusyError, match="cancel it first"):
        store.delete(run.id)

    asked = time.monotonic()
    run.request("cancel")
    process.wait(timeout=5)

    assert time.monotonic() - asked < 5
    assert run.state == "cancelled"
    store.delete(run.id)


def test_a_folder_deleted_under_way_ends_the_writer_and_is_not_made_again(run: Run, start: Start) -> None:
    process = running(run, start)
    shutil.rmtree(run.folder)

    with pytest.raises(RunNotFoundError):
        run.tail()
    with pytest.raises(RunNotFoundError):
        _ = run.state
    assert process.wait(timeout=10) != 0
    assert b"RunNotFoundError" in process.stderr.read()
    assert not run.folder.exists()


def test_readers_at_full_speed_see_no_gap_and_no_error(run: Run, start: Start) -> None:
    process = start(run, num_steps=400, pause_s=0.0)
    seen: list[list[int]] = [[], [], []]

    def follow(steps: list[int]) -> None:
        while run.state != "done" or run.tail(steps[-1] if steps else -1).steps.size:
            steps.extend(run.tail(steps[-1] if steps else -1).steps.step.tolist())

    threads = [threading.Thread(target=follow, args=(steps,)) for steps in seen]
    for thread in threads:
        thread.start()
    assert process.wait(timeout=30) == 0
    for thread in threads:
        thread.join(timeout=20)

    assert seen == [list(range(400))] * 3


def test_many_looks_at_once_never_mistake_a_run_without_worker_for_one_at_work(
    run: Run, start: Start
) -> None:
    process = running(run, start)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    states: list[str] = []

    def look() -> None:
        states.extend(run.state for _ in range(100))

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert set(states) == {"crashed"}


LOOK = """
import sys
from pathlib import Path
from nasviz.runs import lock
folder = Path(sys.argv[1])
lock.is_held(folder)
print("looking", flush=True)
while True:
    lock.is_held(folder)
"""


def test_servers_that_look_without_pause_hinder_neither_each_other_nor_a_start(run: Run) -> None:
    with Writer(run) as writer:
        writer.flush()
    command = [sys.executable, "-c", LOOK, str(run.folder)]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    servers = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) for _ in range(2)]
    try:
        assert [server.stdout.readline() for server in servers] == [b"looking\n"] * 2
        for _ in range(20):
            assert [run.state for _ in range(20)] == ["crashed"] * 20
            with Writer(run):
                assert run.state == "running"
    finally:
        for server in servers:
            server.kill()
            server.communicate()


def test_a_paused_run_goes_on_or_ends_when_asked(run: Run) -> None:
    answers = []
    with Writer(run) as writer:
        for ending in ("resume", "cancel"):
            run.request("pause")
            assert writer.request == "pause"
            waiting = threading.Thread(target=lambda: answers.append(writer.wait_while_paused(7)))
            # The connection belongs to this thread, and there is nothing to flush.
            waiting.start()
            wait_until(lambda: run.state == "paused")
            run.request(ending)
            waiting.join(timeout=5)
            assert run.state == "running"
        assert writer.request == "cancel"
        writer.finish("cancelled")

    assert answers == ["resume", "cancel"]
    assert not (run.folder / "request.json").exists()


def test_a_run_without_worker_can_be_cancelled_but_not_paused(run: Run) -> None:
    with pytest.raises(RunStateError, match=r"cannot pause.*it is created"):
        run.request("pause")
    run.request("cancel")
    assert run.state == "cancelled"
    with pytest.raises(RunStateError, match=r"cannot cancel.*it is cancelled"):
        run.request("cancel")


def test_a_worker_that_starts_after_the_cancel_finds_it(run: Run) -> None:
    run.request("cancel")
    with Writer(run) as writer:
        assert writer.request == "cancel"
        writer.forget_request()
        assert writer.request is None


def test_a_process_that_took_over_the_id_of_the_worker_is_not_the_worker(run: Run) -> None:
    with Writer(run):
        document = (run.folder / "pid.json").read_text()
        created = psutil.Process().create_time()
        (run.folder / "pid.json").write_text(document.replace(str(created), str(created - 1000)))
        assert run.state == "running", "the lock alone decides"
