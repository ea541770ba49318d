"""What a run can be trained on, by name and memory; asks the driver's own tool and the system, not torch."""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path

import psutil

from nasviz.jobs.slots import count_cpus

__all__ = ["describe_devices", "read_gpus"]

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
    """What the processor calls itself."""
    try:
        lines = _CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine() or "processor"
