"""When the host reads values of the device: rarely, where it would have to wait for them."""

from __future__ import annotations

import torch

__all__ = ["looks_at", "reads_at_once"]

LOOK_STEPS = 8
"""Steps between two looks for zeros on an accelerator."""


def reads_at_once(device: torch.device) -> bool:
    """Return whether the host reads values of a device without waiting: it does on the CPU.

    Examples:
        >>> reads_at_once(torch.device("cpu")), reads_at_once(torch.device("cuda"))
        (True, False)
    """
    return device.type == "cpu"


def looks_at(step: int, device: torch.device) -> bool:
    """Return whether the host looks for zeros after so many steps: always where it need not wait.

    The answer depends on nothing else, so that all processes and a resumed run look at the same steps.

    Examples:
        >>> cpu, cuda = torch.device("cpu"), torch.device("cuda")
        >>> looks_at(3, cpu), looks_at(3, cuda), looks_at(8, cuda)
        (True, False, True)
    """
    return reads_at_once(device) or step % LOOK_STEPS == 0
