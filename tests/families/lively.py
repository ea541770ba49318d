"""Make fresh weights lively: zeros, ones and tiny scales hide errors, for what they scale has no effect."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["enliven_"]

_TRANSPOSED = nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d
_MIXERS = nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear
_SCALES = ("gamma", "layer_scale", "ls", "scale", "alpha", "gain", "temperature", "weight")


@torch.no_grad()
def enliven_(model: nn.Module) -> None:
    """Weights that keep the scale of what goes in; norms and everything that is all one number random."""
    for module in model.modules():
        if isinstance(module, _MIXERS | _TRANSPOSED):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        _statistics_(module)
    for name, parameter in model.named_parameters():
        is_flat = parameter.is_floating_point() and parameter.numel() and parameter.std(correction=0) < 1e-7
        if is_flat and (parameter.flatten()[0] != 0 or any(s in name.split(".")[-1] for s in _SCALES)):
            nn.init.uniform_(parameter, 0.5, 1.5)
        elif is_flat:
            nn.init.uniform_(parameter, -0.5, 0.5)


def _statistics_(module: nn.Module) -> None:
    mean, variance = (getattr(module, f"running_{kind}", None) for kind in ("mean", "var"))
    if isinstance(mean, torch.Tensor) and isinstance(variance, torch.Tensor):
        mean.uniform_(-0.5, 0.5)
        variance.uniform_(0.5, 1.5)
