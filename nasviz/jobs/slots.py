"""Places for runs on this machine: one a GPU, or one a processor core, with the threads shared out."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from nasviz.runs import SweepSettings

__all__ = ["Slot", "count_cpus", "describe_devices", "local_slots", "read_gpus", "slots_of", "visible_gpus"]

MEMORY_PER_RUN_MB = 1024
"""What a worker with torch and a small network holds; no more runs at a time than memory has room for."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A place where one run at a time is at work."""

    name: str
    variables: Mapping[str, str] = field(default_factory=dict)
    """Environment of its worker."""


def count_cpus() -> int:
    """Processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return psutil.cpu_count() or 1


def visible_gpus() -> tuple[str, ...]:
    """Names by which CUDA_VISIBLE_DEVICES knows the GPUs; asks the driver's own tool, not torch."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return tuple(name.strip() for name in chosen.split(",") if name.strip() not in ("", "-1"))
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ()
    try:
        said = subprocess.run([tool, "--list-gpus"], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return ()
    found = [line for line in said.stdout.splitlines() if line.startswith("GPU ")]
    return tuple(str(index) for index in range(len(found)))


def local_slots(devices: Iterable[str], limit: int | None = None, *, processes: int = 1) -> tuple[Slot, ...]:
    """The slots for runs that ask for these devices.

    Runs on "auto" get one slot a GPU, each of which sees that GPU alone; runs on a GPU that they name get as
    many slots as there are GPUs. Everything else gets one slot a core, as far as memory goes, and an equal
    share of the threads.

    Args:
        devices: The `device` of each run.
        limit: How many slots there are to be; None for the rule above. On GPUs, slots beyond their number
            share them.
        processes: Of a run, the most that any of them asks for: a slot has a GPU, or a core, for each.
    """
    asked = set(devices)
    gpus = () if asked <= {"cpu", "mps"} else visible_gpus()
    room = max(1, int(psutil.virtual_memory().available / 2**20) // MEMORY_PER_RUN_MB)
    places = len(gpus) or (1 if "mps" in asked else min(count_cpus(), room))
    count = limit or max(1, places // processes)
    threads = {"OMP_NUM_THREADS": str(_threads(count * processes))}
    if not gpus:
        return tuple(Slot(f"cpu {number}", threads) for number in range(count))
    sets = [",".join(gpus[first : first + processes]) for first in range(0, len(gpus), processes)]
    sets = [names for names in sets if names.count(",") + 1 == processes] or [",".join(gpus)]
    is_free = asked == {"auto"}
    return tuple(
        Slot(f"gpu {sets[n % len(sets)]}.{n // len(sets)}", threads | _only(sets[n % len(sets)], is_free))
        for n in range(count)
    )


def slots_of(settings: SweepSettings, limit: int | None = None) -> tuple[Slot, ...]:
    """The slots for the runs of a sweep; `limit` as above."""
    runs = settings.runs
    return local_slots((r.device for r in runs), limit, processes=max(r.processes for r in runs))


def _threads(count: int) -> int:
    share = max(1, count_cpus() // count)
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return min(share, int(asked)) if asked.isdecimal() and int(asked) > 0 else share


def _only(gpu: str, is_free: bool) -> dict[str, str]:
    return {"CUDA_VISIBLE_DEVICES": gpu} if is_free else {}


_CPU_INFO = Path("/proc/cpuinfo")


def describe_devices() -> tuple[tuple[str, ...], str]:
    """The GPUs, and the processor, each in a few words."""
    cores = count_cpus()
    memory = psutil.virtual_memory().total / 2**30
    share = f"{cores} core{'s' if cores > 1 else ''}, {memory:,.0f} GiB of memory"
    return _gpus(), f"{_processor()}, {share}"


def read_gpus(said: str) -> tuple[str, ...]:
    r"""Names and memory out of what `nvidia-smi` says.

    Examples:
        >>> read_gpus("NVIDIA H200, 143771 MiB\n")
        ('NVIDIA H200, 140 GiB',)
    """
    found = []
    for line in said.splitlines():
        name, _, memory = line.rpartition(",")
        size, _, unit = memory.strip().partition(" ")
        if name and unit == "MiB" and size.isdecimal():
            found.append(f"{name.strip()}, {int(size) / 1024:,.0f} GiB")
    return tuple(found)


def _gpus() -> tuple[str, ...]:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ()
    command = [tool, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return ()  # a tool without a driver: there is no GPU that torch could use either
    return read_gpus(done.stdout)


def _processor() -> str:
    """Return what the processor calls itself."""
    try:
        lines = _CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine() or "processor"
