"""What the processes of a run do in tests: train together, be killed, or drift apart."""

import os
import signal
from pathlib import Path

import torch
from torch.distributed import distributed_c10d

from nasviz.runs import Run
from nasviz.train import loop, processes
from nasviz.train.execution import execute, take_part
from nasviz.train.session import Session
from nasviz.train.worker import read_back
from tests.train.children import DyingWriter

HARMS = ("", "die", "drift")


def train_as(rank: int, count: int, port: int, folder: str, harm: str = "", step: int = -1) -> None:
    """Train the run in `folder` as one of `count` processes; the last one comes to harm at `step`."""
    torch.set_num_threads(1)
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "MASTER_PORT": port}
    os.environ |= {name: str(value) for name, value in place.items()} | {"MASTER_ADDR": "127.0.0.1"}
    distributed_c10d._tensor_to_object = refuse_to_unpickle
    run = Run(Path(folder))
    write_digests(run.folder / f"digests.{rank}")
    if harm and rank == count - 1:
        come_to_harm(harm, step)
    own = processes.join()
    if own.is_first:
        with DyingWriter(run, read_back=read_back) as writer:
            execute(run, writer, processes=own)
    else:
        take_part(run.settings, own)
    processes.leave()


def refuse_to_unpickle(*anything: object) -> object:
    """Stand in for what torch does with objects that another process has sent."""
    raise AssertionError("a process unpickled what another one sent")


def write_digests(path: Path) -> None:
    """Let every check leave what this process found."""
    found = processes.digest

    def digest(session: Session) -> str:
        words = found(session)
        with path.open("a") as file:
            file.write(f"{session.step} {words}\n")
        return words

    processes.digest = digest


def come_to_harm(harm: str, step: int) -> None:
    """Be killed before a step, or add to a weight what no other process adds."""
    undisturbed = loop._step

    def disturbed(session, batches, gauge):
        if session.step == step:
            if harm == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            next(session.network.parameters()).data.add_(1e-3)
        return undisturbed(session, batches, gauge)

    loop._step = disturbed
