"""One of the processes of a run: `python -m nasviz.train.member RUN_FOLDER`, started by `launching`."""

from __future__ import annotations

import argparse
import math
import os
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from nasviz.errors import NasvizError
from nasviz.extensions import load_extensions
from nasviz.runs import Run, Writer, admit
from nasviz.train.worker import read_back

__all__ = ["MEETING", "Words", "end_with_parent", "main", "read_failure"]

MEETING = "NASVIZ_MEETING"
"""Environment variable: the folder in which the processes of one launcher find each other."""
LOOK_EVERY_S = 0.2
LONGEST_WORDS = 300


def main(arguments: Sequence[str] | None = None) -> None:
    """Train the run with the others that were started with this one; an error ends the process."""
    parser = argparse.ArgumentParser(prog="python -m nasviz.train.member")
    parser.add_argument("folder", type=Path, help="folder of the run")
    parser.add_argument("--trust", action="append", default=[], metavar="DIR", help="as for the worker")
    args = parser.parse_args(arguments)
    load_extensions()
    if MEETING not in os.environ:
        raise SystemExit("this is one process of several: `nasviz train --nproc N` starts all of them")
    run = Run(args.folder)
    end_with_parent()
    if run.end is not None:  # the others ended on purpose: nothing is to be tried again
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the launcher, which asks politely
    try:
        admit(run, args.trust)
        _train(run, args.trust)
    except Exception as error:
        _leave_words(error)
        if isinstance(error, NasvizError):
            raise SystemExit(f"{type(error).__name__}: {error}") from error
        raise


def _train(run: Run, trust: Sequence[str]) -> None:
    from nasviz.train import processes
    from nasviz.train.execution import execute, take_part

    own = processes.join()
    if own.is_first:
        with Writer(run, read_back=read_back, is_locked=True) as writer:
            execute(run, writer, processes=own, trust=trust)
    else:
        take_part(run.settings, own, trust=trust)
    processes.leave()


def end_with_parent() -> None:
    """End this process once the one that has started it is gone: no orphan writes to a run."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK_EVERY_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class Words(NamedTuple):
    """Why a process ended, and when it said so."""

    time: float = math.inf
    text: str = ""


def read_failure(meeting: Path, rank: int) -> Words:
    """Return the last words of the process of this rank; none where it was killed."""
    path = meeting / f"failure.{rank}"
    return Words(path.stat().st_mtime, path.read_text(errors="replace")) if path.exists() else Words()


def _leave_words(error: Exception) -> None:
    lines = str(error).strip().splitlines() or [""]
    words = f"{type(error).__name__}: {lines[-1]}"[:LONGEST_WORDS]
    (Path(os.environ[MEETING]) / f"failure.{os.environ['RANK']}").write_text(words, errors="replace")


if __name__ == "__main__":
    main()
