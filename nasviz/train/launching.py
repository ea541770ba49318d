"""Several processes for one run, started, watched and started again by this one.

This process holds the run's lock and trains nothing. Where a process dies, the others are ended and all are
started again, from the last good checkpoint. Where they ended on purpose, `end.json` says so and nothing is
started again.

The processes find each other through a file in a folder that only this user can enter, and talk over the
loopback interface. torch's own launcher would open a key-value server on all interfaces instead, and unpickle
what anybody writes to it.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

import nasviz
from nasviz.errors import NasvizError, ProcessesError
from nasviz.runs import EndState, Run
from nasviz.runs.tail import read_position
from nasviz.train.member import MEETING, read_failure
from nasviz.train.progress import Listener, Progress

__all__ = ["RESTARTS", "launch", "loopback"]

MEMBER = "nasviz.train.member"
FOLDER = ".processes"
"""Folder of the run in which its processes find each other, while they train."""
RESTARTS = 3
"""How often dead processes are started again before the run fails."""
LOOK_EVERY_S = 0.25
GRACE_S = 3.0
"""How long the others have to end by themselves after a death: the first one may be recording why."""


@dataclass(frozen=True, slots=True)
class _Failure:
    """How one of the processes ended that was not asked to."""

    rank: int
    exit_code: int
    message: str


def launch(run: Run, listener: Listener | None = None, trust: Iterable[str] = ()) -> EndState:
    """Train `run` on the processes that its settings ask for, and return how it ended.

    Args:
        run: This process holds its lock.
        listener: Hears of the progress, about four times a second.
        trust: Folders that the processes may import user code from.

    Raises:
        NasvizError: The run failed; the reason is on record.
        ProcessesError: One of the processes died again and again.
    """
    failure: _Failure | None = None
    with _private_folder(run.folder / FOLDER) as place:
        for start in range(RESTARTS + 1):
            meeting = place / str(start)
            meeting.mkdir(mode=0o700)
            failure = _train_once(run, meeting, tuple(trust), lambda: _tell(run, listener))
            if failure is None or run.end is not None:
                break
    if (end := run.end) is None:
        if failure is not None:
            raise ProcessesError(_in_words(failure))
        raise ProcessesError(f"the {run.settings.processes} processes ended and left no result")
    if end.state == "failed":
        raise NasvizError(end.error or "the run failed")
    return end.state


def loopback() -> str | None:
    """Return the name of this machine's loopback interface; None where it has no usual one."""
    for name, addresses in psutil.net_if_addrs().items():
        if any(one.family == socket.AF_INET and one.address == "127.0.0.1" for one in addresses):
            return str(name)
    return None


def _train_once(run: Run, meeting: Path, trust: tuple[str, ...], tell: Callable[[], None]) -> _Failure | None:
    """Start all processes and wait for their end; the first failure among them."""
    count = run.settings.processes
    options = [f"--trust={folder}" for folder in trust]
    command = [sys.executable, "-P", "-m", MEMBER, str(run.folder), *options]
    members: list[subprocess.Popen[bytes]] = []
    try:
        for rank in range(count):
            environment = _environment(rank, count, meeting)
            # A session of its own: Ctrl-C in a terminal reaches this process alone, which asks politely.
            members.append(
                subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, start_new_session=True)
            )
        while any(member.poll() is None for member in members):
            if (failure := _failure_among(members, meeting)) is not None:
                _wait_for_all(members)
                return failure
            time.sleep(LOOK_EVERY_S)
            tell()
        return _failure_among(members, meeting)
    finally:
        for member in members:
            member.kill()
            member.wait()


def _failure_among(members: Iterable[subprocess.Popen[bytes]], meeting: Path) -> _Failure | None:
    """Return the process that failed first; those that lost their peer end with an error too, but later."""
    codes = {rank: member.poll() for rank, member in enumerate(members)}
    failed = {rank: code for rank, code in codes.items() if code}
    if not failed:
        return None
    words = {rank: read_failure(meeting, rank) for rank in failed}
    # A killed process leaves no words, and comes first: what the others say is that they lost it.
    rank = min(failed, key=lambda rank: (failed[rank] >= 0, words[rank].time, rank))
    return _Failure(rank, failed[rank], words[rank].text)


def _wait_for_all(members: Iterable[subprocess.Popen[bytes]]) -> None:
    deadline = time.monotonic() + GRACE_S
    while any(member.poll() is None for member in members) and time.monotonic() < deadline:
        time.sleep(0.05)


@contextmanager
def _private_folder(place: Path) -> Iterator[Path]:
    """Yield a new folder for this user alone; what a killed launcher has left in its place is removed."""
    if place.is_symlink() or place.is_file():
        place.unlink()
    elif place.exists():
        shutil.rmtree(place)
    place.mkdir(mode=0o700)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _environment(rank: int, count: int, meeting: Path) -> Mapping[str, str]:
    """Environment of a process: who it is, this package on its path, and its share of the processor cores."""
    home = str(Path(nasviz.__file__).parents[1])
    path = os.pathsep.join(filter(None, (home, os.environ.get("PYTHONPATH", ""))))
    defaults = {
        "OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // count)),
        # DistributedDataParallel warns that looking for unused parameters, and finding none, costs time.
        "TORCH_CPP_LOG_LEVEL": "ERROR",
    }
    if (interface := loopback()) is not None:
        # Without these, both listen on the address that the host's name resolves to.
        defaults |= {"GLOO_SOCKET_IFNAME": interface, "NCCL_SOCKET_IFNAME": f"={interface}"}
    own = {
        "PYTHONPATH": path,
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        MEETING: str(meeting),
    }
    return defaults | os.environ | own


def _tell(run: Run, listener: Listener | None) -> None:
    last_step, total = read_position(run.folder)
    if listener is not None and last_step >= 0 and total:
        phase = "construction" if last_step + 1 >= total else "training"
        listener(Progress(last_step + 1, total, phase))


def _in_words(failure: _Failure) -> str:
    """Return which process died last, how, and its last words."""
    is_killed = failure.exit_code < 0
    how = f"was killed by signal {-failure.exit_code}" if is_killed else "failed"
    words = f": {failure.message}" if failure.message and not is_killed else ""
    return (
        f"the process of rank {failure.rank} {how}, after all processes were started again {RESTARTS}"
        f" times{words}; resume the run once the reason is gone, or set processes=1"
    )
