"""Where a run stands, for those who wait for it. Without torch, so that a launcher can tell it too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Listener", "Progress"]


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands, for whoever waits for it."""

    step: int
    """Steps that are done."""
    total_steps: int
    phase: str
    """"warm-up", "projection" or "training"; at last "construction"."""
    loss: float | None = None
    """Of the last step that was read back."""
    accuracy: float | None = None
    """Of the last evaluation."""


Listener = Callable[[Progress], None]
