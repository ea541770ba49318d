"""Children are real processes here; only their tasks are small (`plain_child`)."""

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

from nasviz.jobs import Door, Limits

HERE = Path(__file__).parent


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    before = children()
    door = Door(module="plain_child", limits=Limits(time_s=60, memory_mb=2000))
    yield door
    door.close()
    assert children() <= before


def children() -> set[int]:
    """Children of this process, zombies included."""
    return {child.pid for child in psutil.Process().children()}


def wait_for(condition, seconds: float = 60.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return bool(condition())


def test_one_warm_child_serves_all_jobs_in_turn(door: Door) -> None:
    jobs = [door.submit("echo", {"value": number}) for number in range(5)]
    results = [job.require() for job in jobs]
    assert [result["echo"] for result in results] == list(range(5))
    assert {result["pid"] for result in results} == {door.warm_pid}


def test_user_code_gets_a_child_of_its_own(door: Door) -> None:
    warm = door.submit("echo", {"value": 0}).require()["pid"]
    before = children()
    own = [door.submit("echo", {"value": 0}, is_user_code=True).require()["pid"] for _ in range(2)]
    assert len({warm, *own}) == 3
    assert warm in before
    assert wait_for(lambda: children() <= before)


def test_progress_reaches_the_job(door: Door, tmp_path: Path) -> None:
    job = door.submit("wait", {"path": str(tmp_path / "go")})
    assert wait_for(lambda: job.message.startswith("waiting"))
    assert job.state == "running"
    (tmp_path / "go").touch()
    assert job.require() == {}
    assert job.progress == 1.0


def test_nothing_that_is_printed_is_taken_for_an_answer(door: Door) -> None:
    assert [door.submit("chatter", {}).require() for _ in range(2)] == [{"forged": False}] * 2


def test_a_cancelled_job_ends_at_once_and_the_warm_child_is_replaced(door: Door) -> None:
    job = door.submit("sleep", {"seconds": 60})
    assert wait_for(lambda: job.message.startswith("asleep"))
    before, start = door.warm_pid, time.monotonic()
    job.cancel()
    assert job.wait(60)
    assert (job.state, job.error) == ("cancelled", None)
    assert time.monotonic() - start < 3
    assert door.submit("echo", {"value": 1}).require()["pid"] != before


def test_a_job_that_waits_is_cancelled_without_disturbing_the_one_at_work(door: Door, tmp_path: Path) -> None:
    working = door.submit("wait", {"path": str(tmp_path / "go")})
    waiting = door.submit("echo", {"value": 1})
    waiting.cancel()
    (tmp_path / "go").touch()
    assert working.require() == {}
    assert waiting.wait(60)
    assert waiting.state == "cancelled"


def test_cancel_also_ends_what_the_child_has_started(door: Door) -> None:
    job = door.submit("spawn", {})
    assert wait_for(lambda: job.message.isdecimal())
    inner = int(job.message)
    job.cancel()
    job.wait(60)
    assert wait_for(lambda: not psutil.pid_exists(inner) or psutil.Process(inner).status() == "zombie")


def test_a_child_that_vanishes_fails_its_job_with_its_last_words_and_is_replaced(door: Door) -> None:
    job = door.submit("vanish", {})
    assert job.wait(60)
    assert job.state == "failed"
    assert "exit code 7" in job.error
    assert "a last word" in job.error
    assert door.submit("echo", {"value": 1}).require()["echo"] == 1


def test_a_child_killed_while_idle_is_replaced(door: Door) -> None:
    first = door.submit("echo", {"value": 1}).require()["pid"]
    os.kill(first, signal.SIGKILL)
    assert door.submit("echo", {"value": 2}).wait(60)
    assert door.submit("echo", {"value": 3}).require()["pid"] != first


def test_a_child_past_its_memory_limit_is_stopped(door: Door) -> None:
    job = door.submit("grow", {}, limits=Limits(time_s=60, memory_mb=200))
    assert job.wait(60)
    assert job.state == "failed"
    assert "more than its limit of 200 MiB" in job.error


def test_a_child_past_its_time_limit_is_stopped(door: Door) -> None:
    job = door.submit("sleep", {"seconds": 60}, limits=Limits(time_s=0.5))
    assert job.wait(60)
    assert "longer than its limit of 0.5 s" in job.error


def test_errors_come_back_in_words(door: Door) -> None:
    refused, stumbled, odd = (
        door.submit(*task) for task in (("refuse", {}), ("stumble", {"by": 0}), ("nan", {}))
    )
    assert refused.wait(60)
    assert stumbled.wait(60)
    assert odd.wait(60)
    assert (refused.error, refused.error_kind) == ("layer 3 cannot be traced", "TraceError")
    assert stumbled.error.startswith("ZeroDivisionError: division by zero (at ")
    assert "plain_child.py" in stumbled.error
    assert odd.state == "failed"


def test_code_that_asks_for_an_end_is_told_and_its_child_goes_on(door: Door) -> None:
    job = door.submit("leave", {})
    assert job.wait(60)
    assert "sys.exit('enough')" in job.error
    assert door.submit("echo", {"value": 1}).require()["pid"] == door.warm_pid


def test_a_result_is_kept_by_arguments_and_by_the_content_of_its_files(door: Door, tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    weights.write_text("one")
    ask = lambda value: door.submit("echo", {"value": value}, files=[str(weights)])  # noqa: E731
    first = ask(1)
    first.wait(60)
    assert ask(1).result is first.result
    assert ask(1).progress == 1.0
    other = ask(2)
    other.wait(60)
    assert other.result["echo"] == 2
    weights.write_text("two!")
    again = ask(1)
    again.wait(60)
    assert again.result == first.result
    assert again.result is not first.result


def test_results_of_user_code_and_failures_are_not_kept(door: Door) -> None:
    one, two = (door.submit("echo", {"value": 1}, is_user_code=True, files=[]).require() for _ in range(2))
    assert one["pid"] != two["pid"]
    failed = [door.submit("vanish", {}, files=[]) for _ in range(2)]
    assert all(job.wait(60) and job.state == "failed" for job in failed)


SERVER = """
import time
from nasviz.jobs import Door
door = Door(module="plain_child")
print(door.submit("echo", {"value": 1}).require()["pid"], flush=True)
job = door.submit("sleep", {"seconds": 60})
while not job.message.startswith("asleep"): time.sleep(0.01)
print("busy", flush=True)
time.sleep(60)
"""


def test_the_warm_child_ends_with_its_server_even_at_work() -> None:
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
