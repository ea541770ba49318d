"""Workers are real processes here; only their tasks are small (`plain_worker`)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from nasviz.jobs import Limits, TaskClient
from tests.jobs import plain_tasks as tasks

HERE = Path(__file__).parent


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[TaskClient]:
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    before = children()
    client = TaskClient("plain_worker")
    yield client
    client.pool.close()
    assert children() <= before


def children() -> set[int]:
    """Children of this process, zombies included."""
    return {child.pid for child in psutil.Process().children()}


def wait_for(condition, seconds: float = 60.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return bool(condition())


def test_one_warm_child_serves_all_jobs_in_turn(client: TaskClient) -> None:
    jobs = [client.submit(tasks.Echo(value=number)) for number in range(5)]
    results = [job.require() for job in jobs]
    assert [result.value for result in results] == list(range(5))
    assert {result.pid for result in results} == {client.pool.warm_pid}


def test_user_code_gets_a_worker_of_its_own(client: TaskClient) -> None:
    warm = client.submit(tasks.Echo(value=0)).require().pid
    before = children()
    own = [client.submit(tasks.EchoAlone(value=0)).require().pid for _ in range(2)]
    assert len({warm, *own}) == 3
    assert warm in before
    assert wait_for(lambda: children() <= before)


def test_progress_reaches_the_job(client: TaskClient, tmp_path: Path) -> None:
    job = client.submit(tasks.Wait(path=tmp_path / "go"))
    assert wait_for(lambda: job.message.startswith("waiting"))
    assert job.state == "running"
    (tmp_path / "go").touch()
    assert job.require().value == "waited"
    assert job.progress == 1.0


def test_nothing_that_is_printed_is_taken_for_an_answer(client: TaskClient) -> None:
    assert [client.submit(tasks.Chatter()).require().value for _ in range(2)] == ["genuine"] * 2


def test_a_cancelled_job_ends_at_once_and_the_warm_worker_is_replaced(client: TaskClient) -> None:
    job = client.submit(tasks.Sleep(seconds=60))
    assert wait_for(lambda: job.message.startswith("asleep"))
    before, start = client.pool.warm_pid, time.monotonic()
    job.cancel()
    assert job.wait(60)
    assert (job.state, job.error) == ("cancelled", None)
    assert time.monotonic() - start < 3
    assert client.submit(tasks.Echo(value=1)).require().pid != before


def test_a_job_that_waits_is_cancelled_without_disturbing_the_one_at_work(
    client: TaskClient, tmp_path: Path
) -> None:
    working = client.submit(tasks.Wait(path=tmp_path / "go"))
    waiting = client.submit(tasks.Echo(value=1))
    waiting.cancel()
    (tmp_path / "go").touch()
    assert working.require().value == "waited"
    assert waiting.wait(60)
    assert waiting.state == "cancelled"


def test_cancel_also_ends_what_the_child_has_started(client: TaskClient) -> None:
    job = client.submit(tasks.Spawn())
    assert wait_for(lambda: job.message.isdecimal())
    inner = int(job.message)
    job.cancel()
    job.wait(60)
    assert wait_for(lambda: not psutil.pid_exists(inner) or psutil.Process(inner).status() == "zombie")


def test_a_child_that_vanishes_fails_its_job_with_its_last_words_and_is_replaced(client: TaskClient) -> None:
    job = client.submit(tasks.Vanish())
    assert job.wait(60)
    assert job.state == "failed"
    assert "exit code 7" in job.error
    assert "a last word" in job.error
    assert client.submit(tasks.Echo(value=1)).require().value == 1


def test_a_child_killed_while_idle_is_replaced(client: TaskClient) -> None:
    first = client.submit(tasks.Echo(value=1)).require().pid
    os.kill(first, signal.SIGKILL)
    assert client.submit(tasks.Echo(value=2)).wait(60)
    assert client.submit(tasks.Echo(value=3)).require().pid != first


def test_a_child_past_its_memory_limit_is_stopped(client: TaskClient) -> None:
    job = client.submit(tasks.Grow(), limits=Limits(time_s=60, memory_mb=200))
    assert job.wait(60)
    assert job.state == "failed"
    assert "more than its limit of 200 MiB" in job.error


def test_a_child_past_its_time_limit_is_stopped(client: TaskClient) -> None:
    job = client.submit(tasks.Sleep(seconds=60), limits=Limits(time_s=0.5))
    assert job.wait(60)
    assert "longer than its limit of 0.5 s" in job.error


def test_errors_come_back_in_words(client: TaskClient) -> None:
    refused, stumbled, odd, false = map(
        client.submit, (tasks.Refuse(), tasks.Stumble(by=0), tasks.Nan(), tasks.Lie())
    )
    assert refused.wait(60)
    assert stumbled.wait(60)
    assert odd.wait(60)
    assert (refused.error, refused.error_kind) == ("layer 3 cannot be traced", "TraceError")
    assert stumbled.error.startswith("ZeroDivisionError: division by zero (at ")
    assert "plain_worker.py" in stumbled.error
    assert (odd.state, odd.result.value) == ("done", None)
    assert false.wait(60)
    assert (false.state, false.error_kind, false.result) == ("failed", "ValidationError", None)


def test_code_that_asks_for_an_end_is_told_and_its_child_goes_on(client: TaskClient) -> None:
    job = client.submit(tasks.Leave())
    assert job.wait(60)
    assert "sys.exit('enough')" in job.error
    assert client.submit(tasks.Echo(value=1)).require().pid == client.pool.warm_pid


def test_a_result_is_kept_by_arguments_and_by_the_content_of_its_files(
    client: TaskClient, tmp_path: Path
) -> None:
    weights = tmp_path / "weights"
    weights.write_text("one")
    ask = lambda value: client.submit(tasks.Echo(value=value, weights=weights))  # noqa: E731
    first = ask(1)
    first.wait(60)
    assert ask(1).result is first.result
    assert ask(1).progress == 1.0
    other = ask(2)
    other.wait(60)
    assert other.result.value == 2
    weights.write_text("two!")
    again = ask(1)
    again.wait(60)
    assert again.result == first.result
    assert again.result is not first.result


def test_results_of_user_code_and_failures_are_not_kept(client: TaskClient) -> None:
    one, two = (
        client.submit(tasks.EchoAlone(value=1, weights=HERE / "__init__.py")).require() for _ in range(2)
    )
    assert one.pid != two.pid
    failed = [client.submit(tasks.Vanish()) for _ in range(2)]
    assert all(job.wait(60) and job.state == "failed" for job in failed)


SERVER = """
import time
from nasviz.jobs import TaskClient
import plain_tasks as tasks
client = TaskClient("plain_worker")
print(client.submit(tasks.Echo(value=1)).require().pid, flush=True)
job = client.submit(tasks.Sleep(seconds=60))
while not job.message.startswith("asleep"): time.sleep(0.01)
print("busy", flush=True)
time.sleep(60)
"""


def test_the_warm_worker_ends_with_its_server_even_at_work() -> None:
    path = os.pathsep.join([str(HERE), str(HERE.parents[1])])
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER], stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": path}
    )
    try:
        assert server.stdout is not None
        child = psutil.Process(int(server.stdout.readline()))
        assert server.stdout.readline() == b"busy\n"
        server.kill()
        server.wait()
        assert wait_for(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)
    finally:
        server.kill()
        server.wait()
        server.stdout.close()
