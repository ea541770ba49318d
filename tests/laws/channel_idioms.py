"""Networks as people write them, each with the number of channel groups that can go."""

from __future__ import annotations

from collections.abc import Callable
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


def octave(m: Any, x: Tensor) -> Tensor:
    """Split one weight into paths of high and low resolution."""
    high = functional.conv2d(x, m.w[:5], padding=1)
    low = functional.conv2d(functional.avg_pool2d(x, 2), m.w[5:], padding=1)
    return m.head(torch.cat([high, functional.interpolate(low, scale_factor=2.0)], 1).relu())


class Tied(nn.Module):
    """Two modules of the same parameters, and a buffer under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.out = nn.Conv2d(3, 8, 1), nn.Conv2d(3, 8, 1), nn.Conv2d(8, 4, 1)
        self.b.weight, self.b.bias = self.a.weight, self.a.bias
        for name in ("first", "second"):
            self.register_buffer(name, scale(8, 1, 1) if name == "first" else self.first)

    def forward(self, x: Tensor) -> Tensor:
        return self.out((self.a(x) * self.first + self.b(x.flip(-1)) * self.second).relu())


class Attention(nn.Module):
    """Attention of four heads of two dimensions, as people write it.

    Args:
        heads: Makes queries, keys and values, each `(batch, heads, tokens, 2)`, from module and input.
        mix: Makes the mixed values of that shape from queries, keys and values.
        parts: Modules and parameters, by name.
    """

    def __init__(
        self,
        heads: Callable[[Any, Tensor], Any],
        mix: Callable[..., Tensor] = functional.scaled_dot_product_attention,
        **parts: Any,
    ) -> None:
        super().__init__()
        self.heads, self.mix = heads, mix
        for name, part in parts.items():
            setattr(self, name, nn.Parameter(part) if isinstance(part, Tensor) else part)
        self.out, self.head = nn.Linear(8, 8), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Any:
        mixed = self.mix(*self.heads(self, x))
        return self.head(x + self.out(mixed.transpose(1, 2).reshape(*x.shape[:2], 8)))


def by_hand(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attend to earlier tokens only."""
    hidden = torch.ones(q.shape[-2], q.shape[-2], dtype=torch.bool).triu(1)
    scores = (q @ k.transpose(-1, -2)) / 2**0.5
    return functional.dropout(scores.masked_fill(hidden, float("-inf")).softmax(-1), 0.0) @ v


def packed(m: Any, x: Tensor) -> Any:
    """Split one projection by a view."""
    return m.qkv(x).view(*x.shape[:2], 3, 4, 2).permute(2, 0, 3, 1, 4).unbind(0)


def separate(m: Any, x: Tensor) -> Any:
    return (part(x).unflatten(-1, (-1, 2)).transpose(1, 2) for part in (m.q, m.k, m.v))


def turned(m: Any, x: Tensor) -> Any:
    """Turn queries and keys by their position, after a norm over the dimensions of a head."""
    q, k, v = separate(m, x)
    return *(0.3 * t + 0.9 * torch.cat([-t[..., 1:], t[..., :1]], -1) for t in (m.norm(q), m.norm(k))), v


def in_groups(repeat: Callable[[Tensor], Tensor]) -> Callable[[Any, Tensor], Any]:
    """Repeat two heads of keys and values for four of queries."""

    def heads(m: Any, x: Tensor) -> Any:
        q, k, v = separate(m, x)
        return q, repeat(k), repeat(v)

    return heads


def three(width: int = 8) -> dict[str, nn.Module]:
    return {"q": nn.Linear(8, 8), "k": nn.Linear(8, width), "v": nn.Linear(8, width)}


def uneven(t: Tensor) -> Tensor:
    """Give three heads of queries one head of keys, and the last one another."""
    return t[:, [0, 0, 0, 1]]


class Tapped(Attention):
    """Attention whose first head feeds something else too, and returns what that makes of it."""

    def forward(self, x: Tensor) -> Any:
        mixed = self.mix(*self.heads(self, x))
        return super().forward(x), mixed[:, 0]


class Watched(Attention):
    """Attention that returns the weights of its heads."""

    def forward(self, x: Tensor) -> Any:
        q, k, _ = self.heads(self, x)
        return super().forward(x), (q @ k.transpose(-1, -2)).softmax(-1)


def torch_attention(weights: bool, batch_first: bool) -> nn.Module:
    return Call(
        lambda m, x: m.head(x + m.attention(x, x, x, need_weights=weights)[0]),
        attention=nn.MultiheadAttention(8, 4, batch_first=batch_first),
        head=nn.Linear(8, 2),
    )


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
    # Transposed convolutions
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
    # Linear maps that make images
    "linear, view, transposed convolution": (
        lambda: nn.Sequential(
            Call(lambda m, x: m.linear(x).view(-1, 5, 3, 3).relu(), linear=nn.Linear(6, 45)),
            nn.ConvTranspose2d(5, 4, 2, 2),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Conv2d(4, 2, 1),
        ),
        rows,
        9,
    ),
    "linear, unflatten, norm, convolution": (
        lambda: nn.Sequential(
            nn.Linear(6, 36), nn.Unflatten(1, (4, 3, 3)), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 3)
        ),
        rows,
        4,
    ),
    "linear over time, convolution": (
        lambda: nn.Sequential(
            nn.Linear(8, 6), Call(lambda m, x: m.conv(x.transpose(1, 2)), conv=nn.Conv1d(6, 2, 3))
        ),
        tokens,
        6,
    ),
    # Weights that are products or sums of several parameters
    "weight times a number": (
        lambda: linears(Call(lambda m, x: functional.linear(x, m.w * m.s), w=weight(8, 6), s=scale())),
        rows,
        8,
    ),
    "weight times a factor per column": (
        lambda: linears(Call(lambda m, x: functional.linear(x, m.w * m.s), w=weight(8, 6), s=scale(6))),
        rows,
        8,
    ),
    "weight and an update of low rank": (
        lambda: linears(
            Call(
                lambda m, x: functional.linear(x, m.w + m.b @ m.a),
                w=weight(8, 6),
                b=weight(8, 2),
                a=weight(2, 6),
            )
        ),
        rows,
        8,
    ),
    "mixture of weights": (
        lambda: linears(
            Call(
                lambda m, x: functional.linear(x, (m.w * m.a[:, None, None]).sum(0)),
                w=weight(3, 8, 6),
                a=scale(3),
            )
        ),
        rows,
        8,
    ),
    "product with a transposed weight": (
        lambda: linears(Call(lambda m, x: x @ m.w.T, w=weight(8, 6))),
        rows,
        8,
    ),
    "sign of a factor": (
        lambda: between(Call(lambda m, x: x * (m.g / m.g.abs()), g=scale(8, 1, 1))),
        images,
        8,
    ),
    "last column as bias": (
        lambda: nn.Sequential(
            nn.Linear(6, 8),
            nn.ReLU(),
            linears(Call(lambda m, x: functional.linear(x, m.w[:, :-1], m.w[:, -1]), w=weight(8, 9))),
        ),
        rows,
        8,
    ),
    "product along another axis": (
        lambda: nn.Sequential(
            nn.Conv1d(5, 8, 1), Call(lambda m, x: x @ m.p, p=weight(8, 7)), nn.ReLU(), nn.Conv1d(8, 2, 1)
        ),
        tokens,
        8,
    ),
    # Tensors under several names
    "tied modules": (Tied, images, 8),
    # Heads of attention
    "heads of a packed projection": (lambda: Attention(packed, qkv=nn.Linear(8, 24)), tokens, 4),
    "heads by hand": (lambda: Attention(separate, by_hand, **three()), tokens, 4),
    "heads by einsum": (
        lambda: Attention(
            separate,
            lambda q, k, v: torch.einsum(
                "bhij,bhjd->bhid", torch.einsum("bhid,bhjd->bhij", q, k).softmax(-1), v
            ),
            **three(),
        ),
        tokens,
        4,
    ),
    "heads merged with the batch": (
        lambda: Attention(
            packed,
            lambda *heads: by_hand(*(t.reshape(-1, *t.shape[2:]) for t in heads)).view(-1, 4, 5, 2),
            qkv=nn.Linear(8, 24),
        ),
        tokens,
        4,
    ),
    "heads with rotary positions and norms": (
        lambda: Attention(turned, **three(), norm=nn.LayerNorm(2)),
        tokens,
        4,
    ),
    "heads with a bias each": (
        lambda: Attention(
            lambda m, x: (*separate(m, x), m.bias),
            lambda q, k, v, bias: (q @ k.mT + bias).softmax(-1) @ v,
            **three(),
            bias=weight(1, 4, 5, 5),
        ),
        tokens,
        4,
    ),
    "heads with a mask each": (
        lambda: Attention(lambda m, x: (*separate(m, x), m.bias), **three(), bias=weight(4, 5, 5)),
        tokens,
        4,
    ),
    "MultiheadAttention": (lambda: torch_attention(False, True), tokens, 4),
    "MultiheadAttention with weights": (lambda: torch_attention(True, True), tokens, 4),
    "MultiheadAttention, tokens first": (lambda: torch_attention(False, False), tokens, 4),
    "TransformerEncoderLayer": (
        lambda: nn.Sequential(nn.TransformerEncoderLayer(8, 2, 6, batch_first=True), nn.Linear(8, 2)),
        tokens,
        8,
    ),
    "groups of queries": (
        lambda: Attention(
            separate,
            lambda q, k, v: functional.scaled_dot_product_attention(q, k, v, enable_gqa=True),
            **three(4),
        ),
        tokens,
        2,
    ),
    "groups of queries by expand": (
        lambda: Attention(
            in_groups(lambda t: t[:, :, None].expand(-1, -1, 2, -1, -1).flatten(1, 2)), by_hand, **three(4)
        ),
        tokens,
        2,
    ),
    "groups of queries by repeat_interleave": (
        lambda: Attention(in_groups(lambda t: t.repeat_interleave(2, 1)), **three(4)),
        tokens,
        2,
    ),
    "groups of queries by repeat": (
        lambda: Attention(in_groups(lambda t: t.repeat(1, 2, 1, 1)), by_hand, **three(4)),
        tokens,
        2,
    ),
    "heads that mix": (
        lambda: Attention(
            separate,
            lambda q, k, v: torch.einsum("bhij,hg->bgij", q @ k.mT, torch.eye(4) + 0.1).softmax(-1) @ v,
            **three(),
        ),
        tokens,
        8,
    ),
    "heads of which one leaves": (lambda: Tapped(separate, by_hand, **three()), tokens, 3),
    "dimensions where weights leave": (lambda: Watched(separate, **three()), tokens, 4),
}
KEPT: dict[str, tuple[Callable[[], nn.Module], Callable[[], Any], str]] = {
    "LayerNorm": (
        lambda: nn.Sequential(nn.Linear(8, 6), nn.LayerNorm(6), nn.ReLU(), nn.Linear(6, 2)),
        tokens,
        "normalises over its channels",
    ),
    "GroupNorm of one group": (
        lambda: between(affine(nn.GroupNorm(1, 8))),
        images,
        "normalises over its channels",
    ),
    "groups of queries of unequal size": (
        lambda: Attention(in_groups(uneven), **three(4)),
        tokens,
        "there is no rule for index",
    ),
    "divisor": (
        lambda: between(Call(lambda m, x: m.p / x, p=scale(1, 8, 1, 1))),
        images,
        "zero has no quotient",
    ),
    "weight that another operator reads whole": (
        lambda: Call(
            lambda m, x: (
                m.head(functional.linear(x, m.w).relu()) + functional.linear(x, m.w.softmax(0)).sum()
            ),
            w=weight(8, 6),
            head=nn.Linear(8, 2),
        ),
        rows,
        "shares the weights w",
    ),
    "weight that is not zero at zero": (
        lambda: linears(Call(lambda m, x: functional.linear(x, m.w.exp()), w=weight(8, 6))),
        rows,
        "is not zero where its variables are",
    ),
    "bias of one number": (
        lambda: linears(Call(lambda m, x: torch.addmm(m.b, x, m.w), w=weight(6, 8), b=weight(1))),
        rows,
        "is not zero where its variables are",
    ),
    "weight and a number": (
        lambda: linears(Call(lambda m, x: functional.linear(x, m.w + m.s), w=weight(8, 6), s=scale())),
        rows,
        "is not zero where its variables are",
    ),
    "one parameter twice": (
        lambda: Call(
            lambda m, x: m.head(torch.einsum("bi,ij,jk->bk", x, m.u, m.u).relu()),
            u=weight(6, 6),
            head=nn.Linear(6, 2),
        ),
        rows,
        "also reads u otherwise",
    ),
    "offset of a sign": (
        lambda: between(Call(lambda m, x: x + m.g / m.g.abs(), g=scale(8, 1, 1))),
        images,
        "not zero any more",
    ),
    "factor and its sign": (
        lambda: between(Call(lambda m, x: x * m.g + x * (m.g / m.g.abs()), g=scale(8, 1, 1))),
        images,
        "is not defined where it is zero",
    ),
    "columns that a mean mixes": (
        lambda: nn.Sequential(
            nn.Linear(6, 8),
            nn.ReLU(),
            Call(lambda m, x: functional.linear(x, m.w - m.w.mean(1, keepdim=True)), w=weight(3, 8)),
        ),
        rows,
        "is computed from its variables",
    ),
    "offset of something constant": (
        lambda: between(Call(lambda m, x: x + m.p.exp(), p=weight(1, 8, 1, 1))),
        images,
        "not zero any more",
    ),
}
"""Networks whose channels stay, with a part of the reason."""
