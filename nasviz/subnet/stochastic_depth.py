"""Stochastic depth (Huang et al., 2016) as a leaf of loaded networks.

It draws the same random numbers as `torchvision.ops.StochasticDepth` and the `DropPath` of timm, which it
replaces in files.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["StochasticDepth"]


class StochasticDepth(nn.Module):
    """Drop a branch in training mode, per sample (`row`) or for the whole batch (`batch`).

    Examples:
        >>> StochasticDepth(0.5, "row").eval()(torch.ones(2))
        tensor([1., 1.])
    """

    def __init__(self, p: float, mode: str = "row", scale: bool = True) -> None:
        super().__init__()
        if not 0 <= p <= 1 or mode not in ("row", "batch"):
            raise ValueError(f"p must be in [0, 1] and mode row or batch, not {p} and {mode!r}")
        self.p, self.mode, self.scale = float(p), mode, bool(scale)

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` with some samples at zero and the others rescaled."""
        if not self.training or self.p == 0:
            return x
        survival = 1 - self.p
        shape = [x.shape[0] if self.mode == "row" else 1] + [1] * (x.dim() - 1)
        noise = torch.empty(shape, dtype=x.dtype, device=x.device).bernoulli_(survival)
        if survival > 0 and self.scale:
            noise.div_(survival)
        return x * noise

    def extra_repr(self) -> str:
        """Return the settings."""
        return f"p={self.p}, mode={self.mode}, scale={self.scale}"
