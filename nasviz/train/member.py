"""One of the processes of a run: `python -m nasviz.train.member RUN_FOLDER`, started by torch's launcher."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

from nasviz.runs import Run, Writer
from nasviz.train.worker import read_back

__all__ = ["end_with_parent", "main"]

LOOK_EVERY_S = 0.2


def main(folder: str) -> None:
    """Train the run with the others that were started beside; an error ends the process."""
    run = Run(Path(folder))
    end_with_parent()
    if run.end is not None:  # the others ended on purpose: nothing is to be tried again
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the launcher, which asks politely
    from torch.distributed.elastic.multiprocessing.errors import record

    record(_train)(run)


def _train(run: Run) -> None:
    from nasviz.train import processes
    from nasviz.train.execution import execute, take_part

    own = processes.join()
    if own.is_first:
        with Writer(run, read_back=read_back, is_locked=True) as writer:
            execute(run, writer, processes=own)
    else:
        take_part(run.settings, own)
    processes.leave()


def end_with_parent() -> None:
    """End this process once the one that has started it is gone: no orphan writes to a run."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK_EVERY_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    main(sys.argv[1])
