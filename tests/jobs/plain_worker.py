"""A real worker with tasks that need no torch: what user code and libraries do to a process."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import time

import plain_tasks as tasks
from plain_tasks import Answer

from nasviz.errors import TraceError
from nasviz.jobs.serving import Channel, serve, task


@task
def echo(request: tasks.Echo, report) -> Answer:
    return Answer(value=request.value, pid=os.getpid())


@task
def echo_alone(request: tasks.EchoAlone, report) -> Answer:
    return Answer(value=request.value, pid=os.getpid())


@task
def chatter(request: tasks.Chatter, report) -> Answer:
    forged = '{"kind": "done", "id": 0, "result": {"value": "forged"}}\n'
    sys.stdout.write(f"{forged}not JSON at all\n")
    sys.stdout.flush()
    os.write(1, forged.encode())
    ctypes.CDLL(None).puts(b"from C")
    os.system("echo from a shell")
    return Answer(value="genuine")


@task
def sleep(request: tasks.Sleep, report) -> Answer:
    report(None, f"asleep in {os.getpid()}")
    time.sleep(request.seconds)
    return Answer()


@task
def wait(request: tasks.Wait, report) -> Answer:
    report(None, f"waiting in {os.getpid()}")
    while not request.path.exists():
        time.sleep(0.01)
    return Answer(value="waited")


@task
def spawn(request: tasks.Spawn, report) -> Answer:
    inner = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    report(None, str(inner.pid))
    time.sleep(60)
    return Answer()


@task
def vanish(request: tasks.Vanish, report) -> Answer:
    os.write(2, b"a last word")
    os._exit(7)


@task
def grow(request: tasks.Grow, report) -> Answer:
    hoard = []
    while True:
        hoard.append(b"x" * 2**24)
        time.sleep(0.01)  # its limit is looked at ten times a second


@task
def leave(request: tasks.Leave, report) -> Answer:
    sys.exit("enough")


@task
def refuse(request: tasks.Refuse, report) -> Answer:
    raise TraceError("layer 3 cannot be traced")


@task
def stumble(request: tasks.Stumble, report) -> Answer:
    return Answer(value=1 / request.by)


@task
def nan(request: tasks.Nan, report) -> Answer:
    return Answer(value=float("nan"))


@task
def lie(request: tasks.Lie, report) -> Answer:
    return Answer.model_construct(value=1, pid="no number")


if __name__ == "__main__":
    serve(Channel())
