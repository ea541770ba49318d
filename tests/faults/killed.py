"""A worker that dies by SIGKILL at a chosen place: between two statements, inside a write, at any moment.

The places are found from outside: Python's audit events tell of every file that is opened or moved, SQLite
calls back before every statement. So what is killed is the worker as it is.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import torch

from nasviz.runs import Run, StepRecord, Writer
from nasviz.train import execute
from tests.faults.privilege import give_up


@dataclass(frozen=True)
class Kill:
    """Where a worker dies."""

    place: str
    """"step", a part of an SQL statement, or a part of the path that is opened or moved to."""
    event: str = "step"
    """"step", "sql", "open" or "os.rename"."""
    count: int = 1
    """Number of the step; of the others, which time."""
    delay_s: float = 0.0
    """From there on: somewhere in what follows, which may be in the middle of a write."""
    action: str = "kill"
    """"kill"; "delete" the folder of the run; "forbid" writing in it."""

    def __str__(self) -> str:
        where = f"step {self.count}" if self.event == "step" else f"{self.event} {self.place} ({self.count})"
        return f"{where} + {self.delay_s * 1e3:.1f} ms"


def die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


class Watch:
    """Counts how often the place was passed, and dies there."""

    def __init__(self, kill: Kill, folder: Path) -> None:
        self.kill, self.left, self.folder = kill, kill.count, folder

    def see(self, event: str, text: str) -> None:
        kill = self.kill
        if event == kill.event and kill.place in text:
            self.left -= 1
            if self.left == 0:
                self.act()

    def act(self) -> None:
        match self.kill.action:
            case "delete":
                shutil.rmtree(self.folder)
            case "forbid":
                self.folder.chmod(0o555)
            case _ if self.kill.delay_s:
                threading.Timer(self.kill.delay_s, die).start()
            case _:
                die()

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[1], str) and "w" in arguments[1]:
            self.see(event, str(arguments[0]))
        elif event == "os.rename":
            self.see(event, str(arguments[1]))


class CountingWriter(Writer):
    """Keeps the number of the last step that was made, where a SIGKILL does not reach it."""

    watch: Watch | None = None

    def step(self, record: StepRecord) -> list[tuple[int, float]]:
        made_path(self.run).write_text(f"{record.step} {record.phase}")
        if (
            self.watch is not None
            and self.watch.kill.event == "step"
            and record.step == self.watch.kill.count
        ):
            self.watch.act()
        return super().step(record)


def made_path(run: Run) -> Path:
    return run.folder.with_suffix(".made")


def work(folder: str, kill: Kill | None, is_humble: bool = False, jump_s: float = 0.0) -> None:
    """Train the run to its end, or to where it is killed.

    Args:
        folder: Of the run.
        kill: Where; None for an undisturbed life.
        is_humble: Whether modes of files hold for the worker, even where it is root's.
        jump_s: How far the clock on the wall is set back or forth, each time that somebody looks at it.
    """
    torch.set_num_threads(1)
    if is_humble:
        give_up()
    if jump_s:
        looks, now = itertools.count(), time.time
        time.time = lambda: now() + jump_s * (-1) ** next(looks)
    writer = CountingWriter(Run(Path(folder)))
    if kill is not None:
        writer.watch = Watch(kill, writer.folder)
        sys.addaudithook(writer.watch.audit)
    with writer:
        if writer.watch is not None:
            see = writer.watch.see
            writer._connection.set_trace_callback(lambda statement: see("sql", statement))
        execute(writer.run, writer)
