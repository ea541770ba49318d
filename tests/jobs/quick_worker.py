"""Stands in for the worker of a run where only its coming and going matters: no torch, a step in a moment.

It keeps the last step in the folder as a worker keeps its checkpoint, and does what `mixup` of its run
says: 1 is killed at step 3 the first time, 2 every time, 3 fails, 4 ends before it takes the lock, 5 is
evaluated at every step, with its learning rate as the accuracy. One half more, and it waits after step 4
until it is let go (`let_go`) or cancelled: so nothing depends on who is how fast.
"""

import os
import signal
import sys
import time
from pathlib import Path

from nasviz.errors import DataError
from nasviz.runs import Evaluation, Run, Writer
from tests.runs.run_writing import record

GO = "go"
PATIENCE_S = 120.0


def let_go(run: Run | None) -> None:
    """Let the worker of a run that waits pass, now and later."""
    if run is not None:
        (run.folder / GO).touch()


def wait_to_go(writer: Writer) -> None:
    writer.flush()
    end = time.monotonic() + PATIENCE_S
    while not (writer.folder / GO).exists() and writer.request != "cancel":
        assert time.monotonic() < end, "nobody let it go"
        time.sleep(0.01)


def main(folder: Path) -> None:
    run = Run(folder)
    temper, half = divmod(run.settings.mixup, 1)
    if temper == 4:
        raise SystemExit("no such library")
    with Writer(run) as writer:
        start = folder / "position"
        first = int(start.read_text()) if start.exists() else 0
        writer.rewind(first - 1)
        total = run.settings.epochs
        writer.describe(total_steps=total)
        for step in range(first, total):
            if half == 0.5 and step == 5:
                wait_to_go(writer)
            if writer.request == "cancel":
                writer.finish("cancelled")
                return
            if temper == 3:
                raise DataError("the data are damaged")
            if step == 3 and (temper == 2 or (temper == 1 and first == 0)):
                writer.flush()
                start.write_text("3" if temper == 1 else "0")
                os.kill(os.getpid(), signal.SIGKILL)
            if temper == 5:
                writer.evaluation(Evaluation(step, step, "full", 1.0, run.settings.method.lr, 10))
            writer.step(record(step))
            (folder / "position.new").write_text(str(step + 1))
            (folder / "position.new").replace(start)  # whole, whenever it is killed
            time.sleep(0.01)
        result = {"accuracy_subnet": run.settings.method.lr, "slot": os.environ.get("SLOT")}
        mu = run.settings.value("mu")
        if mu is not None:  # GSparsity: fewer groups survive a larger mu
            result["survivors"] = max(0, 20 - int(mu))
        writer.finish("done", result=result)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
