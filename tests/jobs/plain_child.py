"""A real child with tasks that need no torch: what user code and libraries do to a process."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import time
from pathlib import Path

from nasviz.errors import TraceError
from nasviz.jobs.serving import Channel, serve


def echo(arguments, report):
    return {"echo": arguments["value"], "pid": os.getpid()}


def count(arguments, report):
    for step in range(arguments["steps"]):
        report(step / arguments["steps"], f"step {step}")
    return {}


def chatter(arguments, report):
    forged = '{"kind": "done", "id": 0, "result": {"forged": true}}\n'
    sys.stdout.write(f"{forged}not JSON at all\n")
    sys.stdout.flush()
    os.write(1, forged.encode())
    ctypes.CDLL(None).puts(b"from C")
    os.system("echo from a shell")
    return {"forged": False}


def sleep(arguments, report):
    report(None, f"asleep in {os.getpid()}")
    time.sleep(arguments["seconds"])
    return {}


def wait(arguments, report):
    report(None, f"waiting in {os.getpid()}")
    while not Path(arguments["path"]).exists():
        time.sleep(0.01)
    return {}


def spawn(arguments, report):
    inner = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    report(None, str(inner.pid))
    time.sleep(60)
    return {}


def vanish(arguments, report):
    os.write(2, b"a last word")
    os._exit(7)


def grow(arguments, report):
    hoard = []
    while True:
        hoard.append(b"x" * 2**24)
        time.sleep(0.01)  # its limit is looked at ten times a second


def leave(arguments, report):
    sys.exit("enough")


def refuse(arguments, report):
    raise TraceError("layer 3 cannot be traced")


def stumble(arguments, report):
    return {"value": 1 / arguments["by"]}


def nan(arguments, report):
    return {"value": float("nan")}


if __name__ == "__main__":
    serve(
        Channel(),
        {
            f.__name__: f
            for f in (echo, count, chatter, sleep, wait, spawn, vanish, leave, grow, refuse, stumble, nan)
        },
    )
