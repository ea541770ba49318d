"""Reinitialization of a trained network: only its architecture stays."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["reset_"]


@torch.no_grad()
def reset_(model: nn.Module, seed: int) -> None:
    """Draw all weights again, in place: each module by its `reset_parameters`, with fresh statistics.

    Parameters of other modules, such as a network's own tokens or packed projections, are shuffled: they keep
    their distribution and lose what was learnt. The global generators are restored.

    Args:
        model: Any network.
        seed: Seed that determines the weights.

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
