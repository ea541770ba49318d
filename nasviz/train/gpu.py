"""How busy the GPU of a run is, once a second: memory taken, and the share of the time it works."""

from __future__ import annotations

import time
from typing import Any

import torch

__all__ = ["GpuGauge"]

EVERY_S = 1.0


class GpuGauge:
    """Reads the GPU now and then; on any other device there is nothing to read.

    Args:
        device: Of the run.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._last = float("-inf")
        self._has_utilisation = True

    def read(self) -> dict[str, Any] | None:
        """Name, MiB of memory, and share of the last moments in which it worked; None where it is not time.

        The share needs the package nvidia-ml-py (`nasviz[gpu]`), and is left out without it.
        """
        now = time.monotonic()
        if self._device.type != "cuda" or now - self._last < EVERY_S:
            return None
        self._last = now
        free, total = torch.cuda.mem_get_info(self._device)
        found: dict[str, Any] = {
            "name": torch.cuda.get_device_name(self._device),
            "memory_used_mb": round((total - free) / 2**20),
            "memory_total_mb": round(total / 2**20),
        }
        if self._has_utilisation:
            try:
                found["utilisation"] = torch.cuda.utilization(self._device) / 100
            except _refusals():  # no such package, or a driver that does not tell
                self._has_utilisation = False
        return found


def _refusals() -> tuple[type[Exception], ...]:
    """Return what torch raises where the share cannot be read: NVML has errors of its own."""
    try:
        from pynvml import NVMLError
    except ImportError:
        return (ImportError, RuntimeError)
    return (ImportError, RuntimeError, NVMLError)
