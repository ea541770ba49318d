"""The processes that train one run together: who is who, what each takes, and what all agree on.

Gradients are averaged by DistributedDataParallel. Everything else that decides a step is averaged or agreed
on here: running statistics, scores, requests of people. What they agree on goes through a gloo group of its
own, so that nobody waits for a GPU, and nobody loses patience while a run is paused.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm

from nasviz.errors import LostProcessError, ProcessesError
from nasviz.train.member import MEETING

if TYPE_CHECKING:
    from nasviz.train.session import Session

__all__ = ["ALONE", "Processes", "digest", "join", "leave", "running_statistics"]

PATIENCE = timedelta(days=365)
"""Of those who wait for the first process: a pause has no limit, and a death is noticed at once."""


@dataclass(frozen=True)
class Processes:
    """This process among those that train a run; `Processes()` is one that trains alone."""

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    """Among those on this machine: the GPU that it takes."""
    control: distributed.ProcessGroup | None = field(default=None, repr=False)

    @property
    def is_first(self) -> bool:
        """Whether it is the one that records, saves and exports."""
        return self.rank == 0

    @property
    def is_alone(self) -> bool:
        """Whether there is no other one."""
        return self.count == 1

    @contextmanager
    def telling_of_deaths(self) -> Iterator[None]:
        """Tell the death of another process from an error of this one.

        Raises:
            LostProcessError: A message broke off, for the process at its other end is gone.
        """
        try:
            yield
        except RuntimeError as error:
            # Torch has a class for what nccl says; gloo says it with the place in its source alone.
            is_broken = isinstance(error, distributed.DistError) or "/gloo/" in str(error)
            if self.is_alone or not is_broken:
                raise
            words = f"another of the {self.count} processes ended; the last good checkpoint is kept ({error})"
            raise LostProcessError(words) from error

    def agree(self, value: Any) -> Any:
        """Return the first process's value on all of them. It is JSON data: what arrives is never code."""
        if self.is_alone:
            return value
        return json.loads(self.share(json.dumps(value).encode() if self.is_first else b""))

    def share(self, content: bytes) -> bytes:
        """Return the first process's bytes on all of them; those of the others are ignored."""
        if self.is_alone:
            return content
        size = self.agree_on_number(len(content))
        box = _tensor_of(content) if self.is_first else torch.empty(size, dtype=torch.uint8)
        distributed.broadcast(box, src=0, group=self.control)
        return bytes(box.numpy())

    def agree_on_number(self, number: int) -> int:
        """The same for a number: one message, cheap enough for every step."""
        if self.is_alone:
            return number
        box = torch.tensor(number)
        distributed.broadcast(box, src=0, group=self.control)
        return int(box)

    def gather(self, content: bytes) -> list[bytes]:
        """Return the bytes of all processes by rank, on all of them."""
        if self.is_alone:
            return [content]
        sizes = [torch.zeros(1, dtype=torch.int64) for _ in range(self.count)]
        distributed.all_gather(sizes, torch.tensor([len(content)]), group=self.control)
        # Gloo gathers tensors of one size only.
        longest = max(int(size) for size in sizes)
        boxes = [torch.empty(longest, dtype=torch.uint8) for _ in range(self.count)]
        distributed.all_gather(boxes, _tensor_of(content.ljust(longest, b"\0")), group=self.control)
        return [bytes(box.numpy()[: int(size)]) for box, size in zip(boxes, sizes, strict=True)]

    @torch.no_grad()
    def average_(self, tensors: Sequence[Tensor]) -> None:
        """Replace floating tensors of one device by their means over the processes, in one message."""
        if self.is_alone or not tensors:
            return
        is_double = any(tensor.dtype == torch.float64 for tensor in tensors)
        dtype = torch.float64 if is_double else torch.float32
        flat = torch.cat([tensor.detach().reshape(-1).to(dtype) for tensor in tensors])
        distributed.all_reduce(flat.div_(self.count))
        parts = torch.split(flat, [tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view_as(tensor))

    def require_equal(self, session: Session) -> str:
        """Check that all processes hold the same parameters and have selected the same; their common digest.

        Raises:
            ProcessesError: Some differ from the first one; the message names their ranks.
        """
        mine = digest(session)
        found = [content.decode() for content in self.gather(mine.encode())]
        if odd := [rank for rank, other in enumerate(found) if other != found[0]]:
            who = ", ".join(f"{rank} ({found[rank][:12]})" for rank in odd)
            raise ProcessesError(
                f"after {session.step} steps the parameters of rank {who} differ from those of rank 0"
                f" ({found[0][:12]}), and all {self.count} processes have to hold the same: something in the"
                " network or its data changes weights on one process alone; the last good checkpoint is kept"
            )
        return mine


ALONE = Processes()


def join() -> Processes:
    """Meet the processes that a launcher has started, as its environment says.

    The launcher of this package names a folder in which they find each other. Under an external torchrun it
    is the key-value server that torchrun has opened. Tensors of a CUDA device go through nccl, those of the
    CPU through gloo.
    """
    rank, count, local = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
    store = _store(count)
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    distributed.init_process_group(backend, store=store, rank=rank, world_size=count)
    control = distributed.new_group(backend="gloo", timeout=PATIENCE)
    assert isinstance(control, distributed.ProcessGroup), "this process is a member of all"
    return Processes(rank, count, local, control)


def _store(count: int) -> Any:
    """Return the store in which the processes leave their addresses."""
    c10d: Any = distributed  # torch exports these names, but not to type checkers
    if (meeting := os.environ.get(MEETING)) is not None:
        return c10d.FileStore(str(Path(meeting) / "store"), count)
    store, _, _ = next(c10d.rendezvous("env://"))
    if os.environ.get("LOCAL_WORLD_SIZE") == str(count):
        # Torch's launcher keeps its store from one start to the next, with the addresses of dead processes.
        store = c10d.PrefixStore(f"start {os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}", store)
    return store


def _tensor_of(content: bytes) -> Tensor:
    if not content:  # which `frombuffer` refuses
        return torch.empty(0, dtype=torch.uint8)
    return torch.frombuffer(bytearray(content), dtype=torch.uint8)


def leave() -> None:
    """End what `join` began."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


def running_statistics(network: nn.Module) -> list[Tensor]:
    """Running means and variances of all batch norms: each process sees its share of a batch only."""
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    return [b for norm in norms for b in (norm.running_mean, norm.running_var) if b is not None]


def digest(session: Session) -> str:
    """SHA-256 of the parameters, running statistics and selected structures; waits for the device."""
    found = hashlib.sha256(repr(session.optimizer.selected).encode())
    for tensor in [*session.network.parameters(), *session.running]:
        values = tensor.detach().cpu().contiguous().reshape(-1)
        found.update(values.view(torch.uint8).numpy().data)
    return found.hexdigest()
