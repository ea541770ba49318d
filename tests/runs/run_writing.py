"""A process that writes a run, for tests that kill it: `run_writing.py RUN_FOLDER NUM_STEPS PAUSE_S`.

Beside the folder it keeps the number of its last step, to be compared with what the run holds.
"""

import sys
import time
from pathlib import Path

from nasviz.runs import Run, StepRecord, Writer


def record(step: int) -> StepRecord:
    phase = "warm-up" if step < 10 else "training"
    return StepRecord(step, step // 10, phase, 1.0 / (step + 1), 0.5, 0.05, 0.001, 64_000.0, 100.0, 0)


def write(writer: Writer, step: int) -> None:
    writer.scores(step, (1, 2), (step, -step))
    writer.event(step, "test", f"step {step}", 1)
    writer.step(record(step))


def main(folder: str, num_steps: str, pause_s: str) -> None:
    with Writer(Run(Path(folder))) as writer, Path(f"{folder}.step").open("wb", buffering=0) as last:
        writer.describe(total_steps=int(num_steps))
        for step in range(int(num_steps)):
            write(writer, step)
            last.seek(0)
            last.write(str(step).encode())
            if step == 5:
                writer.flush()
            time.sleep(float(pause_s))
            if writer.request == "cancel":
                writer.finish("cancelled")
                return
        writer.finish("done", result={"steps": int(num_steps)})


if __name__ == "__main__":
    main(*sys.argv[1:])
