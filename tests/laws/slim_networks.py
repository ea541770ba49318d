"""Small networks for cutting channels: each has its way in which channels of operators go together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.laws.small_networks import NETWORKS as OTHERS
from tests.laws.small_networks import Branches, Residual

__all__ = ["NETWORKS"]


def _unit(ins: int, outs: int, size: int = 3, **settings: Any) -> nn.Sequential:
    conv = nn.Conv2d(ins, outs, size, padding=size // 2, bias=False, **settings)
    return nn.Sequential(conv, nn.BatchNorm2d(outs), nn.ReLU())


def _residual() -> nn.Module:
    return nn.Sequential(
        _unit(3, 6),
        Residual(_unit(6, 5), nn.Conv2d(5, 6, 1), nn.BatchNorm2d(6)),
        Residual(nn.Conv2d(6, 6, 3, padding=1), nn.Hardswish()),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 3),
    )


class _Projection(nn.Module):
    """A block whose shortcut is a convolution too."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.body, self.side = _unit(3, 4), _unit(4, 7, stride=2), nn.Conv2d(4, 7, 1, 2)
        self.head = nn.Linear(7, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        return self.head((self.body(x) - self.side(x)).mean((2, 3)))


def _dense() -> nn.Module:
    """A norm and a mixer behind a concatenation; a sum behind another one."""
    first = Branches(nn.Identity(), _unit(4, 3), nn.Conv2d(4, 2, 1))
    second = Residual(Branches(nn.Conv2d(6, 2, 1), nn.Conv2d(6, 4, 1)))
    return nn.Sequential(
        _unit(3, 4), first, nn.BatchNorm2d(9), nn.ReLU(), _unit(9, 6), second, nn.Conv2d(6, 2, 1)
    )


def _bottleneck() -> nn.Module:
    """Grouped convolutions: whole groups of the operators around them go."""
    return nn.Sequential(
        _unit(3, 8), _unit(8, 12, groups=4), Residual(_unit(12, 12, groups=4)), nn.Conv2d(12, 3, 1)
    )


def _inverted() -> nn.Module:
    """Depthwise convolutions, one of which makes two channels of each."""
    body = [
        _unit(4, 9, 1),
        _unit(9, 9, groups=9),
        nn.Conv2d(9, 18, 3, groups=9, padding=1),
        nn.Conv2d(18, 4, 1),
    ]
    return nn.Sequential(_unit(3, 4), Residual(*body), nn.PReLU(4), nn.Conv2d(4, 2, 1))


class _Gate(nn.Module):
    """Squeeze and excite, and a map that weighs places."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.squeeze, self.excite = nn.Conv2d(width, 3, 1), nn.Conv2d(3, width, 1)
        self.place = nn.Conv2d(width, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        gate = self.excite(self.squeeze(functional.adaptive_avg_pool2d(x, 1)).relu()).sigmoid()
        return x * gate * self.place(x).sigmoid()


def _gated() -> nn.Module:
    return nn.Sequential(_unit(3, 6), Residual(_unit(6, 8), _Gate(8), nn.Conv2d(8, 6, 1)), nn.Conv2d(6, 2, 1))


class _Shuffle(nn.Module):
    """A unit of ShuffleNet: halves, one of which is transformed, put together and shuffled by hand."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(_unit(width // 2, width // 2, 1), _unit(width // 2, width // 2, 1))

    def forward(self, x: Tensor) -> Tensor:
        kept, taken = x.chunk(2, 1)
        x = torch.cat([kept, self.branch(taken)], 1)
        n, c, h, w = x.shape
        return x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)


def _shuffled() -> nn.Module:
    return nn.Sequential(_unit(3, 12), _Shuffle(12), _Shuffle(12), _Shuffle(12), nn.Conv2d(12, 2, 1))


class _Split(nn.Module):
    """Pieces of unequal lengths, from one convolution and from one linear map."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.flat = nn.Conv2d(3, 9, 1), nn.Linear(4 * 16, 10)
        self.a, self.b, self.head = nn.Conv2d(2, 4, 1), nn.Conv2d(7, 4, 3, padding=1), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        first, second = self.stem(x).relu().split([2, 7], 1)
        x = functional.max_pool2d(self.a(first) + self.b(second), 2)
        gate, value = self.flat(x.flatten(1)).split([4, 6], 1)
        return self.head(value) + gate.tanh()[:, :2]


def _flattened() -> nn.Module:
    return nn.Sequential(
        _unit(3, 5),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(80, 7),
        nn.BatchNorm1d(7),
        nn.ReLU(),
        nn.Linear(7, 3),
    )


def _upward() -> nn.Module:
    """Transposed convolutions and pixel shuffles."""
    up = [
        nn.ConvTranspose2d(6, 5, 2, 2),
        nn.BatchNorm2d(5),
        nn.ReLU(),
        nn.Conv2d(5, 12, 1),
        nn.PixelShuffle(2),
    ]
    return nn.Sequential(
        _unit(3, 6, 3, stride=2), *up, nn.Conv2d(3, 4, 1), nn.PixelUnshuffle(2), nn.Conv2d(16, 2, 1)
    )


class _Transformer(nn.Module):
    """Packed attention by one fused call, separate attention by matrix products, feed-forward layers."""

    def __init__(self) -> None:
        super().__init__()
        self.packed, self.out = nn.Linear(8, 24), nn.Linear(8, 8)
        self.q, self.k, self.v, self.mix = (
            nn.Linear(8, 12),
            nn.Linear(8, 12),
            nn.Linear(8, 6),
            nn.Linear(6, 8),
        )
        self.norms = nn.ModuleList(nn.LayerNorm(8) for _ in range(3))
        self.mlp = nn.Sequential(nn.Linear(8, 10), nn.GELU(), nn.Linear(10, 8))
        self.head = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        b, n, _ = x.shape
        q, k, v = self.packed(self.norms[0](x)).reshape(b, n, 3, 2, 4).permute(2, 0, 3, 1, 4).unbind(0)
        heads = functional.scaled_dot_product_attention(q, k, v)
        x = x + self.out(heads.transpose(1, 2).reshape(b, n, 8))
        y = self.norms[1](x)
        q, k = (part(y).view(b, n, 3, 4).transpose(1, 2) for part in (self.q, self.k))
        v = self.v(y).view(b, n, 3, 2).transpose(1, 2)
        scores = (q * 0.5 @ k.transpose(-2, -1)).softmax(-1)
        x = x + self.mix((scores @ v).transpose(1, 2).reshape(b, n, 6))
        x = x + self.mlp(self.norms[2](x))
        return self.head(x.mean(1))


class _GatedUnits(nn.Module):
    """A feed-forward layer whose halves are multiplied, and one module that is called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.both, self.down, self.shared = nn.Linear(6, 16), nn.Linear(8, 6), nn.Linear(6, 6)
        self.head = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.both(x).chunk(2, -1)
        x = self.down(functional.silu(gate) * value)
        return self.head(self.shared(self.shared(x).relu()))


class _Bare(nn.Module):
    """Parameters and buffers without modules, and functional calls: scales, shifts, norms, products."""

    def __init__(self) -> None:
        super().__init__()
        shapes = {
            "filters": (6, 3, 3, 3),
            "bias": (6,),
            "gamma": (6,),
            "beta": (6,),
            "slopes": (6,),
            "scale": (6, 1, 1),
            "shift": (6, 1, 1),
            "depthwise": (12, 1, 3, 3),
            "mixer": (10, 12),
            "offset": (10,),
            "last": (10, 2),
        }
        for name, shape in shapes.items():
            self.register_parameter(name, nn.Parameter(torch.rand(shape) + 0.3 - (len(shape) > 1) * 0.5))
        self.register_buffer("mean", torch.rand(6))
        self.register_buffer("var", torch.rand(6) + 0.5)
        self.register_buffer("weighting", torch.rand(1, 12, 1, 1) + 0.5)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.conv2d(x, self.filters, self.bias, padding=1)
        x = functional.batch_norm(x, self.mean, self.var, self.gamma, self.beta, self.training)
        x = functional.prelu(x, self.slopes) * self.scale + self.shift
        x = functional.conv2d(x, self.depthwise, padding=1, groups=6) * self.weighting
        x = functional.linear(x.relu().mean((2, 3)), self.mixer, self.offset)
        return x.relu() @ self.last


def _images(size: int = 8) -> Tensor:
    return torch.randn(4, 3, size, size)


NETWORKS: dict[str, tuple[Callable[[], nn.Module], Callable[[], Any]]] = {
    "residual": (_residual, _images),
    "projection": (_Projection, _images),
    "dense": (_dense, _images),
    "grouped": (_bottleneck, _images),
    "depthwise": (_inverted, _images),
    "gated": (_gated, _images),
    "shuffled by hand": (_shuffled, _images),
    "split": (_Split, _images),
    "flattened": (_flattened, _images),
    "upward": (_upward, _images),
    "transformer": (_Transformer, lambda: torch.randn(4, 5, 8)),
    "gated units": (_GatedUnits, lambda: torch.randn(4, 6)),
    "bare parameters": (_Bare, _images),
} | {
    name: OTHERS[name]
    for name in (
        "temporal convolutions",
        "volumetric convolutions",
        "transposed convolutions",
        "grouped convolutions",
        "shuffled channels",
        "flattened concatenation",
        "cross attention",
        "rotary positions",
        "upsampled and padded",
    )
}
"""By name: what makes the network, and what makes its inputs."""
