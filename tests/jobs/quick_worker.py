"""Stands in for the worker of a run where only its coming and going matters: no torch, a step in a moment.

It keeps the last step in the folder as a worker keeps its checkpoint, and does what `weight_decay` of its run
says: 1 is killed at step 3 the first time, 2 every time, 3 fails, 4 ends before it takes the lock, 5 is
evaluated at every step, with its learning rate as the accuracy.
"""

import os
import signal
import sys
import time
from pathlib import Path

from nasviz.errors import DataError
from nasviz.runs import Evaluation, Run, Writer
from tests.runs.run_writing import record


def main(folder: Path) -> None:
    run = Run(folder)
    temper = int(run.settings.weight_decay)
    if temper == 4:
        raise SystemExit("no such library")
    with Writer(run) as writer:
        start = folder / "position"
        first = int(start.read_text()) if start.exists() else 0
        writer.rewind(first - 1)
        total = run.settings.epochs
        writer.describe(total_steps=total)
        for step in range(first, total):
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
                writer.evaluation(Evaluation(step, step, "full", 1.0, run.settings.lr, 10))
            writer.step(record(step))
            start.write_text(str(step + 1))
            time.sleep(0.01)
        result = {"accuracy_subnet": run.settings.lr, "slot": os.environ.get("SLOT")}
        if run.settings.mu is not None:  # GSparsity: fewer groups survive a larger mu
            result["survivors"] = max(0, 20 - int(run.settings.mu))
        writer.finish("done", result=result)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
