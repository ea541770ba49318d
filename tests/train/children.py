"""What child processes do: train a run, and die by SIGKILL in the middle of it."""

import os
import signal
from pathlib import Path

import torch

from nasviz.runs import Run, StepRecord, Writer
from nasviz.train import execute


class DyingWriter(Writer):
    """Kills its own process right after a step was handed over, before anything is flushed for it."""

    last_step = -1

    def step(self, record: StepRecord) -> list[tuple[int, float]]:
        if record.step == self.last_step:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().step(record)


def train_until_killed(folder: str, last_step: int) -> None:
    """Train the run to its end, or to `last_step` and not further."""
    torch.set_num_threads(1)
    with DyingWriter(Run(Path(folder))) as writer:
        writer.last_step = last_step
        execute(writer.run, writer)
