"""Small networks that compute with complex numbers: positions as rotations, and spectra."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["NETWORKS"]


class _Rotations(nn.Module):
    """Attention whose positions are complex numbers in a buffer, and one head of keys for two of queries."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(8)
        self.query, self.pair, self.out = nn.Linear(8, 8), nn.Linear(8, 8, bias=False), nn.Linear(8, 8)
        self.gate, self.up, self.down = nn.Linear(8, 12), nn.Linear(8, 12), nn.Linear(12, 8)
        angles = torch.outer(torch.arange(9).float(), torch.tensor([1.0, 0.1]))
        self.register_buffer("rotations", torch.polar(torch.ones(9, 2), angles), persistent=False)

    def rotated(self, x: Tensor) -> Tensor:
        pairs = torch.view_as_complex(x.float().unflatten(3, (-1, 2)))
        return torch.view_as_real(pairs * self.rotations[: x.shape[1], None]).flatten(3).type_as(x)

    def forward(self, x: Tensor) -> Tensor:
        states = self.norm(x)
        queries = self.query(states).unflatten(2, (2, 4))
        keys, values = self.pair(states).unflatten(2, (2, 1, 4)).unbind(2)
        keys, values = self.rotated(keys).expand_as(queries), values.expand_as(queries)
        seen = [part.transpose(1, 2) for part in (self.rotated(queries), keys, values)]
        seen = functional.scaled_dot_product_attention(*seen, is_causal=True)
        x = x + self.out(seen.transpose(1, 2).flatten(2))
        return x + self.down(functional.silu(self.gate(x)) * self.up(x))


class _Spectrum(nn.Module):
    """Products in the spectrum beside convolutions; the spectrum is an output too."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.side, self.head = nn.Conv1d(2, 6, 1), nn.Conv1d(6, 6, 1), nn.Conv1d(6, 2, 1)
        self.modes = nn.Parameter(torch.randn(6, 6, 4, 2) / 4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.stem(x)
        spectrum = torch.fft.rfft(x)
        mixed = torch.einsum("bim,iom->bom", spectrum[..., :4], torch.view_as_complex(self.modes))
        padded = functional.pad(mixed, [0, spectrum.shape[-1] - 4])
        x = functional.gelu(torch.fft.irfft(padded, n=x.shape[-1]) + self.side(x))
        x = self.head(x)
        return x, torch.fft.rfft(x)


NETWORKS: dict[str, tuple[Callable[[], nn.Module], Callable[[], Any]]] = {
    "complex rotations": (_Rotations, lambda: torch.randn(4, 5, 8)),
    "complex spectrum": (_Spectrum, lambda: torch.randn(4, 2, 12)),
}
"""By name: what makes the network, and what makes its inputs."""
