"""Networks as people write them, each with the number of channel groups that can go."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["IDIOMS", "KEPT", "Call"]


class Call(nn.Module):
    """A function of the input and of tensors that belong to this module.

    Args:
        call: Receives this module and the input.
        buffers: Tensors that are not trained.
        parts: Modules and parameters, by name.
    """

    def __init__(
        self, call: Callable[[Any, Tensor], Any], buffers: dict[str, Tensor] | None = None, **parts: Any
    ) -> None:
        super().__init__()
        self.call = call
        for name, part in parts.items():
            setattr(self, name, nn.Parameter(part) if isinstance(part, Tensor) else part)
        for name, buffer in (buffers or {}).items():
            self.register_buffer(name, buffer)

    def forward(self, x: Tensor) -> Any:
        return self.call(self, x)


def weight(*shape: int) -> Tensor:
    """Return random weights around zero."""
    return torch.randn(shape) * 0.5


def scale(*shape: int) -> Tensor:
    """Return random factors around one."""
    return torch.rand(shape) + 0.5


def images() -> Tensor:
    return torch.randn(4, 3, 8, 8)


def rows() -> Tensor:
    return torch.randn(4, 6)


def tokens() -> Tensor:
    return torch.randn(4, 5, 8)


def between(middle: nn.Module, width: int = 8, after: int | None = None) -> nn.Module:
    """Return a network with a module between two convolutions."""
    return nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1), middle, nn.ReLU(), nn.Conv2d(after or width, 4, 1)
    )


def linears(middle: nn.Module) -> nn.Module:
    """Return a network with a linear map of the library's own, behind which another one reads."""
    return nn.Sequential(middle, nn.ReLU(), nn.Linear(8, 4))


class SameConv(nn.Conv2d):
    """A convolution that pads by itself, as ports of TensorFlow networks have it."""

    def forward(self, x: Tensor) -> Tensor:
        x = functional.pad(x, (1, 1, 1, 1))
        return functional.conv2d(x, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


def frozen_norm(width: int) -> nn.Module:
    from torchvision.ops import FrozenBatchNorm2d

    norm = FrozenBatchNorm2d(width)
    norm.weight, norm.bias = scale(width), weight(width)
    norm.running_mean, norm.running_var = weight(width), scale(width)
    return norm


def hooked(where: str) -> nn.Module:
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 1))
    model.get_submodule(where).register_forward_hook(lambda module, inputs, output: None)
    return model


def affine(norm: nn.Module) -> nn.Module:
    norm.weight, norm.bias = nn.Parameter(scale(*norm.weight.shape)), nn.Parameter(weight(*norm.bias.shape))
    return norm


class Attention(nn.Module):
    """Attention with heads of key and value for several queries each.

    Args:
        heads: Heads of the queries.
        groups: Heads of keys and values.
        fused: Whether one linear map makes all three.
        by_hand: Whether scores are computed by matrix products.
    """

    def __init__(
        self, heads: int = 4, groups: int = 2, *, fused: bool = False, by_hand: bool = False
    ) -> None:
        super().__init__()
        self.heads, self.groups, self.dim, self.fused, self.by_hand = heads, groups, 3, fused, by_hand
        sizes = [heads * self.dim, groups * self.dim, groups * self.dim]
        if fused:
            self.qkv = nn.Linear(8, sum(sizes))
        else:
            self.q, self.k, self.v = (nn.Linear(8, size) for size in sizes)
        self.sizes = sizes
        self.out, self.head = nn.Linear(heads * self.dim, 8), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        b, n, _ = x.shape
        parts = self.qkv(x).split(self.sizes, -1) if self.fused else (self.q(x), self.k(x), self.v(x))
        q, k, v = (part.view(b, n, -1, self.dim).transpose(1, 2) for part in parts)
        if self.by_hand:
            repeats = self.heads // self.groups
            if repeats > 1:
                k, v = (part.repeat_interleave(repeats, 1) for part in (k, v))
            y = (q @ k.transpose(-2, -1) * self.dim**-0.5).softmax(-1) @ v
        else:
            is_grouped = self.heads > self.groups
            y = functional.scaled_dot_product_attention(q, k, v, enable_gqa=is_grouped)
        return self.head(x + self.out(y.transpose(1, 2).reshape(b, n, -1)))


def repeated_keys(m: Any, x: Tensor) -> Tensor:
    """Repeat keys and values by expand and reshape, as Llama does."""
    b, n, _ = x.shape
    q, k, v = (f(x).view(b, n, h, 3).transpose(1, 2) for f, h in ((m.q, 4), (m.k, 2), (m.v, 2)))
    k, v = (t[:, :, None].expand(b, 2, 2, n, 3).reshape(b, 4, n, 3) for t in (k, v))
    y = functional.scaled_dot_product_attention(q, k, v)
    return m.head(x + m.out(y.transpose(1, 2).reshape(b, n, 12)))


def octave(m: Any, x: Tensor) -> Tensor:
    """Split one weight into paths of high and low resolution."""
    high = functional.conv2d(x, m.w[:5], padding=1)
    low = functional.conv2d(functional.avg_pool2d(x, 2), m.w[5:], padding=1)
    return m.head(torch.cat([high, functional.interpolate(low, scale_factor=2.0)], 1).relu())


def recurrent(kind: type[nn.RNNBase], size: int = 6, **settings: Any) -> nn.Module:
    directions = 2 if settings.get("bidirectional") else 1
    width = (settings.get("proj_size") or size) * directions
    return Call(
        lambda m, x: m.head(m.cell(m.stem(x))[0].mean(1)),
        stem=nn.Linear(8, 5),
        cell=kind(5, size, batch_first=True, **settings),
        head=nn.Linear(width, 2),
    )


def decoder(m: Any, x: Tensor) -> Tensor:
    return m.head(m.up(m.fc(x).view(-1, 8, 4, 4)).relu())


Idiom = tuple[Callable[[], nn.Module], Callable[[], Any], int]

IDIOMS: dict[str, Idiom] = {
    # Weights that reach an operator as parameters
    "conv2d of a parameter": (
        lambda: nn.Sequential(
            Call(lambda m, x: functional.conv2d(x, m.w, m.b, padding=1), w=weight(8, 3, 3, 3), b=weight(8)),
            nn.ReLU(),
            nn.Conv2d(8, 4, 1),
        ),
        images,
        8,
    ),
    "subclass with same padding": (
        lambda: nn.Sequential(SameConv(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 1)),
        images,
        8,
    ),
    "depthwise subclass": (lambda: between(SameConv(8, 8, 3, groups=8)), images, 8),
    "reads by a subclass": (
        lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.Sigmoid(), SameConv(8, 4, 3)),
        images,
        0,
    ),
    "linear of a parameter": (
        lambda: linears(Call(lambda m, x: functional.linear(x, m.w), w=weight(8, 6))),
        rows,
        8,
    ),
    "addmm": (
        lambda: linears(Call(lambda m, x: torch.addmm(m.b, x, m.w), w=weight(6, 8), b=weight(8))),
        rows,
        8,
    ),
    "addmm read by addmm": (
        lambda: nn.Sequential(
            Call(lambda m, x: torch.addmm(m.b, x, m.w), w=weight(6, 8), b=weight(8)),
            nn.GELU(),
            Call(lambda m, x: torch.addmm(m.b, x, m.w), w=weight(8, 2), b=weight(2)),
        ),
        rows,
        8,
    ),
    "addmm on rows of tokens": (
        lambda: nn.Sequential(
            Call(
                lambda m, x: torch.addmm(m.b, x.view(-1, 8), m.w).view(-1, 5, 6), w=weight(8, 6), b=weight(6)
            ),
            nn.GELU(),
            nn.Linear(6, 2),
        ),
        tokens,
        6,
    ),
    "matmul": (lambda: linears(Call(lambda m, x: x @ m.p, p=weight(6, 8))), rows, 8),
    "matmul of tokens": (
        lambda: nn.Sequential(Call(lambda m, x: x @ m.p, p=weight(8, 6)), nn.ReLU(), nn.Linear(6, 2)),
        tokens,
        6,
    ),
    "matmul with the parameter first": (
        lambda: nn.Sequential(
            Call(lambda m, x: (m.p @ x.transpose(1, 2)).transpose(1, 2), p=weight(6, 8)),
            nn.ReLU(),
            nn.Linear(6, 2),
        ),
        tokens,
        6,
    ),
    "einsum": (
        lambda: linears(Call(lambda m, x: torch.einsum("bi,io->bo", x, m.p), p=weight(6, 8))),
        rows,
        8,
    ),
    "einsum of tokens": (
        lambda: nn.Sequential(
            Call(lambda m, x: torch.einsum("...i, oi -> ...o", x, m.p), p=weight(6, 8)),
            nn.ReLU(),
            nn.Linear(6, 2),
        ),
        tokens,
        6,
    ),
    "einsum of heads": (
        lambda: nn.Sequential(
            Call(lambda m, x: torch.einsum("bnd,dhe->bnhe", x, m.p), p=weight(8, 3, 4)),
            nn.ReLU(),
            Call(lambda m, x: torch.einsum("bnhe,hed->bnd", x, m.p), p=weight(3, 4, 2)),
        ),
        tokens,
        3,
    ),
    "factor per channel": (lambda: between(Call(lambda m, x: x * m.p, p=scale(1, 8, 1, 1))), images, 8),
    "offset per channel": (lambda: between(Call(lambda m, x: x + m.p, p=weight(1, 8, 1, 1))), images, 8),
    "factor in front": (lambda: between(Call(lambda m, x: m.p * x, p=scale(8, 1, 1))), images, 8),
    "offset subtracted": (lambda: between(Call(lambda m, x: x - m.p, p=weight(8, 1, 1))), images, 8),
    "divided per channel": (lambda: between(Call(lambda m, x: x / m.p, p=scale(1, 8, 1, 1))), images, 8),
    "viewed factor and offset": (
        lambda: between(
            Call(lambda m, x: x * m.g.view(1, -1, 1, 1) + m.b.view(1, -1, 1, 1), g=scale(8), b=weight(8))
        ),
        images,
        8,
    ),
    "unsqueezed factor": (lambda: between(Call(lambda m, x: x * m.g[:, None, None], g=scale(8))), images, 8),
    "addcmul": (
        lambda: between(Call(lambda m, x: torch.addcmul(m.b, x, m.g), g=scale(8, 1, 1), b=weight(8, 1, 1))),
        images,
        8,
    ),
    "factor of buffers": (lambda: between(Call(lambda m, x: x * m.f, {"f": scale(8, 1, 1)})), images, 8),
    "normalised by buffers": (
        lambda: nn.Sequential(
            Call(lambda m, x: (x - m.mean) / m.std, {"mean": weight(3, 1, 1), "std": scale(3, 1, 1)}),
            between(nn.Identity()),
        ),
        images,
        8,
    ),
    "one number": (
        lambda: nn.Sequential(
            nn.Conv2d(3, 8, 3), Call(lambda m, x: x * m.s, s=scale()), nn.ReLU(), nn.Conv2d(8, 4, 1)
        ),
        images,
        8,
    ),
    "exponential of a parameter": (
        lambda: between(Call(lambda m, x: x * m.s.exp(), s=weight(1, 8, 1, 1))),
        images,
        8,
    ),
    "FrozenBatchNorm2d": (lambda: between(frozen_norm(8)), images, 8),
    "FrozenBatchNorm2d in residual blocks": (
        lambda: nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1, bias=False),
            frozen_norm(6),
            nn.ReLU(),
            Call(
                lambda m, x: (x + m.body(x)).relu(),
                body=nn.Sequential(
                    nn.Conv2d(6, 5, 1, bias=False),
                    frozen_norm(5),
                    nn.ReLU(),
                    nn.Conv2d(5, 6, 1),
                    frozen_norm(6),
                ),
            ),
            nn.Conv2d(6, 2, 1),
        ),
        images,
        11,
    ),
    "hook on a convolution": (lambda: hooked("0"), images, 8),
    "hook on a norm": (lambda: hooked("1"), images, 8),
    "hook on the reader": (lambda: hooked("3"), images, 8),
    # Norms by channel
    "InstanceNorm2d": (lambda: between(affine(nn.InstanceNorm2d(8, affine=True))), images, 8),
    "InstanceNorm2d without affine": (lambda: between(nn.InstanceNorm2d(8)), images, 8),
    "InstanceNorm2d with statistics": (
        lambda: between(affine(nn.InstanceNorm2d(8, affine=True, track_running_stats=True))),
        images,
        8,
    ),
    "InstanceNorm1d": (
        lambda: nn.Sequential(
            nn.Conv1d(5, 8, 3), affine(nn.InstanceNorm1d(8, affine=True)), nn.ReLU(), nn.Conv1d(8, 2, 1)
        ),
        tokens,
        8,
    ),
    "GroupNorm of one channel a group": (lambda: between(affine(nn.GroupNorm(8, 8))), images, 8),
    "GroupNorm of two channels a group": (lambda: between(affine(nn.GroupNorm(4, 8))), images, 4),
    "GroupNorm without affine": (lambda: between(nn.GroupNorm(4, 8, affine=False)), images, 4),
    "GroupNorm in residual blocks": (
        lambda: nn.Sequential(
            nn.Conv2d(3, 8, 3),
            Call(
                lambda m, x: x + m.body(x),
                body=nn.Sequential(affine(nn.GroupNorm(4, 8)), nn.SiLU(), nn.Conv2d(8, 8, 3, padding=1)),
            ),
            affine(nn.GroupNorm(2, 8)),
            nn.ReLU(),
            nn.Conv2d(8, 2, 1),
        ),
        images,
        2,
    ),
    "GroupNorm behind a concatenation": (
        lambda: nn.Sequential(
            Call(lambda m, x: torch.cat([m.a(x), m.b(x)], 1), a=nn.Conv2d(3, 4, 1), b=nn.Conv2d(3, 4, 1)),
            affine(nn.GroupNorm(4, 8)),
            nn.ReLU(),
            nn.Conv2d(8, 2, 1),
        ),
        images,
        4,
    ),
    # Slices and views of larger parameters
    "first rows and columns of a larger convolution": (
        lambda: nn.Sequential(
            nn.Conv2d(3, 6, 1),
            Call(
                lambda m, x: functional.conv2d(x, m.w[:8, :6], m.b[:8], padding=1),
                w=weight(12, 10, 3, 3),
                b=weight(12),
            ),
            nn.ReLU(),
            nn.Conv2d(8, 4, 1),
        ),
        images,
        14,
    ),
    "first rows of a larger linear map": (
        lambda: linears(
            Call(lambda m, x: functional.linear(x, m.w[:8, :6], m.b[:8]), w=weight(10, 9), b=weight(10))
        ),
        rows,
        8,
    ),
    "centre of a larger kernel": (
        lambda: nn.Sequential(
            Call(lambda m, x: functional.conv2d(x, m.w[:, :, 1:-1, 1:-1], padding=1), w=weight(8, 3, 5, 5)),
            nn.ReLU(),
            nn.Conv2d(8, 4, 1),
        ),
        images,
        8,
    ),
    "transposed weight": (
        lambda: linears(Call(lambda m, x: functional.linear(x, m.w.t()), w=weight(6, 8))),
        rows,
        8,
    ),
    "viewed weight": (
        lambda: nn.Sequential(
            Call(lambda m, x: functional.conv2d(x, m.w.view(8, 3, 1, 1)), w=weight(8, 3)),
            nn.ReLU(),
            nn.Conv2d(8, 4, 1),
        ),
        images,
        8,
    ),
    "octave convolution": (lambda: Call(octave, w=weight(8, 3, 3, 3), head=nn.Conv2d(8, 2, 1)), images, 8),
    # Recurrent widths
    "LSTM": (lambda: recurrent(nn.LSTM), tokens, 5 + 6),
    "GRU": (lambda: recurrent(nn.GRU), tokens, 5 + 6),
    "RNN": (lambda: recurrent(nn.RNN), tokens, 5 + 6),
    "LSTM without bias": (lambda: recurrent(nn.LSTM, bias=False), tokens, 5 + 6),
    "LSTM of two layers": (lambda: recurrent(nn.LSTM, num_layers=2), tokens, 5 + 6),
    "GRU of both directions": (lambda: recurrent(nn.GRU, bidirectional=True), tokens, 5 + 6),
    "LSTM with a projection": (lambda: recurrent(nn.LSTM, proj_size=4), tokens, 5 + 4),
    # Linear maps in front of convolutions
    "linear, view, transposed convolution": (
        lambda: Call(
            decoder, fc=nn.Linear(6, 128), up=nn.ConvTranspose2d(8, 5, 2, 2), head=nn.Conv2d(5, 2, 1)
        ),
        rows,
        8 + 5,
    ),
    "linear, unflatten, convolution": (
        lambda: nn.Sequential(
            nn.Linear(6, 128),
            nn.ReLU(),
            nn.Unflatten(1, (8, 4, 4)),
            nn.Conv2d(8, 5, 1),
            nn.ReLU(),
            nn.Conv2d(5, 2, 1),
        ),
        rows,
        8 + 5,
    ),
    "transposed and in groups": (
        lambda: nn.Sequential(
            nn.Conv2d(3, 8, 1),
            nn.ConvTranspose2d(8, 12, 2, 2, groups=4),
            nn.BatchNorm2d(12),
            nn.ReLU(),
            nn.Conv2d(12, 2, 1),
        ),
        images,
        4,
    ),
    "transposed and depthwise": (
        lambda: nn.Sequential(
            nn.Conv2d(3, 8, 1), nn.ConvTranspose2d(8, 8, 2, 2, groups=8), nn.ReLU(), nn.Conv2d(8, 2, 1)
        ),
        images,
        8,
    ),
    # Whole heads
    "heads": (partial(Attention, 4, 4), tokens, 4),
    "heads by hand": (partial(Attention, 4, 4, by_hand=True), tokens, 4),
    "heads of a fused projection": (partial(Attention, 4, 4, fused=True), tokens, 4),
    "grouped queries": (partial(Attention, 4, 2), tokens, 2),
    "grouped queries of a fused projection": (partial(Attention, 4, 2, fused=True), tokens, 2),
    "grouped queries by hand": (partial(Attention, 4, 2, by_hand=True), tokens, 2),
    "grouped queries by expand": (
        lambda: Call(
            repeated_keys,
            q=nn.Linear(8, 12),
            k=nn.Linear(8, 6),
            v=nn.Linear(8, 6),
            out=nn.Linear(12, 8),
            head=nn.Linear(8, 2),
        ),
        tokens,
        2,
    ),
    "one key for all queries": (partial(Attention, 4, 1), tokens, 3),
}
KEPT: dict[str, tuple[Callable[[], nn.Module], Callable[[], Any], str]] = {}
