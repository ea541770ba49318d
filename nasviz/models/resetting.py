"""New random weights for a network, whatever it was trained to: the architecture alone stays."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["reset_"]


@torch.no_grad()
def reset_(model: nn.Module, seed: int) -> None:
    """Draw all weights anew, in place: each module as torch initialises it, with fresh statistics.

    Parameters that belong to no such module, as a network's own tokens or packed projections, are shuffled:
    they keep their distribution and lose what they have learnt. The global generators are as before.

    Args:
        model: Any network.
        seed: The same one gives the same weights.

    Examples:
        >>> first, second = nn.Linear(3, 2), nn.Linear(3, 2)
        >>> reset_(first, 5), reset_(second, 5)
        (None, None)
        >>> torch.equal(first.weight, second.weight)
        True
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for module in model.modules():
            reset = getattr(module, "reset_parameters", None)
            if callable(reset):
                reset()
                continue
            for parameter in module.parameters(recurse=False):
                order = torch.randperm(parameter.numel(), generator=generator).to(parameter.device)
                parameter.copy_(parameter.flatten()[order].view_as(parameter))
