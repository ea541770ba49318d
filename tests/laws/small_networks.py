"""Small networks of every kind: each has branches that may go, and one thing that makes cutting them hard."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["NETWORKS"]


class Residual(nn.Module):
    """`x + body(x)`."""

    def __init__(self, *body: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(*body)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class Branches(nn.Module):
    """All branches of a value side by side."""

    def __init__(self, *branches: nn.Module, dim: int = 1) -> None:
        super().__init__()
        self.branches, self.dim = nn.ModuleList(branches), dim

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], self.dim)


class Call(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., Tensor], *args: Any) -> None:
        super().__init__()
        self.function, self.args = function, args

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, *self.args)


def _temporal() -> nn.Module:
    def block(width: int) -> nn.Module:
        conv = nn.Conv1d(width, width, 3, padding=1)
        return Residual(conv, nn.BatchNorm1d(width), nn.ReLU(inplace=True))

    body = [nn.Conv1d(3, 8, 3), block(8), block(8), nn.AvgPool1d(2), block(8)]
    return nn.Sequential(*body, Call(torch.mean, -1), nn.Linear(8, 4))


def _volumetric() -> nn.Module:
    cat = Branches(nn.Conv3d(4, 3, 1), nn.Conv3d(4, 4, 3, padding=1), nn.MaxPool3d(3, 1, 1))
    residual = Residual(nn.Conv3d(11, 11, 1), nn.BatchNorm3d(11), nn.GELU())
    return nn.Sequential(
        nn.Conv3d(2, 4, 3), cat, nn.BatchNorm3d(11), residual, nn.Flatten(), nn.Linear(704, 3)
    )


class _Decoder(nn.Module):
    """A U of transposed convolutions with skips; one of them in groups."""

    def __init__(self) -> None:
        super().__init__()
        self.down1, self.down2 = nn.Conv2d(3, 6, 3, 2, 1), nn.Conv2d(6, 8, 3, 2, 1)
        self.skip, self.side = nn.Conv2d(6, 6, 1), nn.Conv2d(8, 4, 1)
        self.up1 = nn.ConvTranspose2d(12, 6, 4, 2, 1)
        self.up2 = nn.ConvTranspose2d(12, 6, 4, 2, 1, groups=2)
        self.last = nn.Conv2d(6, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        first = functional.relu(self.down1(x))
        second = functional.relu(self.down2(first))
        x = self.up1(torch.cat([second, self.side(second)], 1))
        x = torch.cat([x, self.skip(first)], 1)
        return self.last(functional.leaky_relu(self.up2(x)))


def _grouped() -> nn.Module:
    cat = Branches(*(nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.PReLU(4)) for _ in range(3)))
    grouped = nn.Conv2d(12, 18, 3, padding=1, groups=3)
    depthwise = nn.Sequential(nn.Conv2d(18, 36, 3, padding=1, groups=18), nn.BatchNorm2d(36), nn.ReLU6())
    return nn.Sequential(nn.Conv2d(3, 4, 1), cat, grouped, depthwise, nn.Conv2d(36, 5, 1))


def _shuffled() -> nn.Module:
    cat = Branches(nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 8, 1))
    return nn.Sequential(
        nn.Conv2d(3, 4, 1),
        cat,
        nn.ChannelShuffle(4),
        nn.PixelShuffle(2),
        Branches(nn.Conv2d(4, 3, 1), nn.Conv2d(4, 2, 1)),
        nn.PixelUnshuffle(2),
        nn.Conv2d(20, 3, 1),
    )


class _Recurrent(nn.Module):
    """Recurrent layers in residual branches."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(3, 6)
        self.lstm, self.gru = (
            nn.LSTM(6, 6, 2, batch_first=True),
            nn.GRU(6, 3, batch_first=True, bidirectional=True),
        )
        self.mix1, self.mix2, self.head = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = x + self.mix1(self.lstm(x)[0])
        x = x + self.mix2(self.gru(x)[0])
        return self.head(x[:, -1])


class _Shared(nn.Module):
    """One convolution in two branches, another twice in one."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.shared, self.twice = (
            nn.Conv2d(3, 4, 1),
            nn.Conv2d(4, 4, 1),
            nn.Conv2d(4, 4, 3, padding=1),
        )
        self.own, self.head = nn.Conv2d(4, 4, 1), nn.Conv2d(8, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = x + self.twice(self.twice(x).relu())
        x = x + self.own(self.shared(x).relu())
        return self.head(torch.cat([self.shared(x), x], 1))


class _Tied(nn.Module):
    """A language model whose table of words scores them too."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(20, 8), nn.Embedding(6, 8)
        layer = [nn.LayerNorm(8), nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8)]
        self.blocks = nn.Sequential(Residual(*layer), Residual(nn.RMSNorm(8), nn.Linear(8, 8)))
        self.scores = nn.Linear(8, 20, bias=False)
        self.scores.weight = self.words.weight

    def forward(self, ids: Tensor) -> Tensor:
        places = torch.arange(ids.shape[1], device=ids.device)
        return self.scores(self.blocks(self.words(ids) + self.places(places)))


class _Standardised(nn.Conv2d):
    """A convolution whose filters are brought to mean zero and a learned length."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.gain = nn.Parameter(torch.ones(self.out_channels, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        flat = self.weight.reshape(1, self.out_channels, -1)
        weight = functional.batch_norm(flat, None, None, training=True).reshape_as(self.weight) * self.gain
        return self._conv_forward(x, weight, self.bias)


class DropPath(nn.Module):
    """Drops a branch by the sample."""

    def __init__(self, drop_prob: float) -> None:
        super().__init__()
        self.drop_prob = drop_prob

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        keep = torch.empty(x.shape[0], *[1] * (x.dim() - 1)).bernoulli_(1 - self.drop_prob)
        return x * keep / (1 - self.drop_prob)


class _Scaled(nn.Module):
    """Branches that end in a learned scale and random depth."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, 6, 2, 2), nn.Linear(6, 2)
        self.branches = nn.ModuleList(
            nn.Sequential(nn.Conv2d(6, 6, 3, padding=1, groups=6), nn.GroupNorm(1, 6), nn.SiLU())
            for _ in "12"
        )
        self.gammas = nn.ParameterList(nn.Parameter(torch.full((6, 1, 1), 1e-6)) for _ in "12")
        self.drop = DropPath(0.3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for gamma, branch in zip(self.gammas, self.branches, strict=True):
            x = x + self.drop(gamma * branch(x))
        return self.head(x.mean((2, 3)))


class _Written(nn.Module):
    """Writes in place, also through views, into branches and into a copy of a bias."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c, self.head = (nn.Linear(6, 6) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        bias = self.b.bias.clone()
        bias[2:4].zero_()
        x = x + functional.linear(x, self.b.weight, bias)
        y = self.a(x)
        y[:, 1:3].mul_(2)
        y.view(-1, 2, 3)[:, 0].relu_()
        x += y
        x += self.c(x).relu_()
        return self.head(x)


class _Flattened(nn.Module):
    """A concatenation that is flattened into columns of a linear map, and one that is normalised whole."""

    def __init__(self) -> None:
        super().__init__()
        self.images = Branches(nn.Conv2d(3, 2, 1), nn.Conv2d(3, 3, 1), nn.Conv2d(3, 1, 1))
        self.columns = Branches(nn.Linear(5, 4), nn.Linear(5, 3))
        self.flat, self.norm, self.head = nn.Linear(96, 5), nn.LayerNorm(7), nn.Linear(7, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.flat(functional.max_pool2d(self.images(x), 2).flatten(1))
        return self.head(self.norm(self.columns(x)))


class _Windows(nn.Module):
    """Slices, pieces and rolls of a concatenation's channels."""

    def __init__(self) -> None:
        super().__init__()
        self.cat = Branches(nn.Conv2d(3, 4, 1), nn.Conv2d(3, 6, 1), nn.Conv2d(3, 2, 1))
        self.norm = nn.BatchNorm2d(12)
        self.heads = nn.ModuleList(nn.Conv2d(width, 3, 1) for width in (7, 5, 4, 6, 12))

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.cat(x)).relu()
        parts = [x[:, :7], x[:, -5:, 1:-1], x.split(4, 1)[1], x.chunk(2, 1)[0], x.roll(1, 1)]
        heads = [head(part).mean((2, 3)) for head, part in zip(self.heads, parts, strict=True)]
        return torch.stack(heads).sum(0)


class _Gated(nn.Module):
    """Gates of channels, a product of two branches and a difference of three."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3)
        self.squeeze, self.excite = nn.Conv2d(6, 2, 1), nn.Conv2d(2, 6, 1)
        self.a, self.b, self.c, self.d = (nn.Conv2d(6, 6, 1) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).relu()
        gate = self.excite(self.squeeze(x.mean((2, 3), keepdim=True)).relu()).sigmoid()
        x = x + self.a(x * gate)
        x = x - self.b(x).tanh() * self.c(x)
        return torch.sub(x, self.d(x), alpha=0.5)


class _Attention(nn.Module):
    """An encoder whose states a decoder attends to."""

    def __init__(self) -> None:
        super().__init__()
        settings: dict[str, Any] = {"dim_feedforward": 12, "dropout": 0.1, "batch_first": True}
        self.encoder = nn.TransformerEncoderLayer(8, 2, norm_first=True, **settings)
        self.decoder = nn.TransformerDecoderLayer(8, 2, **settings)
        self.query, self.head = nn.Parameter(torch.zeros(1, 3, 8)), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        states = self.encoder(x)
        return self.head(self.decoder(self.query.expand(x.shape[0], -1, -1), states))


class _Rotary(nn.Module):
    """Positions computed without gradient, gated feed-forward layers, einsum in place of linear maps."""

    def __init__(self) -> None:
        super().__init__()
        self.mix, self.back = nn.Parameter(torch.randn(2, 4, 8)), nn.Parameter(torch.randn(2, 4, 8))
        self.gate, self.up, self.down = nn.Linear(8, 12), nn.Linear(8, 12), nn.Linear(12, 8)
        self.head = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            angles = torch.arange(x.shape[1], dtype=x.dtype)[:, None] * torch.arange(1.0, 5.0).to(x)
            turn = torch.cat([angles.cos(), angles.sin()], -1)
        heads = torch.einsum("bnc,hkc->bnhk", x * turn, self.mix)
        x = x + torch.einsum("bnhk,hkc->bnc", heads, self.back)
        return self.head(x + self.down(functional.silu(self.gate(x)) * self.up(x)))


class Heads(NamedTuple):
    main: Tensor
    auxiliary: Tensor


class _TwoHeads(nn.Module):
    """An auxiliary head that is there in training mode only."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.a, self.b = nn.Linear(4, 6), nn.Linear(6, 6), nn.Linear(6, 6)
        self.main, self.auxiliary = nn.Linear(6, 3), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Heads | Tensor:
        middle = self.stem(x) + self.a(self.stem(x).relu())
        x = middle + self.b(middle).relu()
        return Heads(self.main(x), self.auxiliary(middle)) if self.training else self.main(x)


@dataclass
class Pyramid:
    levels: dict[str, Tensor]
    pooled: tuple[Tensor, None]
    name: str = "pyramid"


class _Nested(nn.Module):
    """Takes a pair and a dict of tensors, returns a dataclass of a dict and a tuple."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.extra = nn.Conv2d(3, 4, 1), nn.Conv2d(2, 4, 1), nn.Conv2d(1, 4, 1)
        self.down, self.side = nn.Conv2d(4, 4, 3, 2, 1), nn.Conv2d(4, 4, 1)

    def forward(self, pair: tuple[Tensor, Tensor], maps: dict[str, Tensor]) -> Pyramid:
        high = self.left(pair[0]) + self.right(pair[1]) + self.extra(maps["depth"])
        low = self.down(high)
        low = low + self.side(low)
        return Pyramid({"high": high, "low": low}, (low.amax((2, 3)), None))


def _normalised() -> nn.Module:
    convolution = nn.utils.parametrizations.weight_norm(nn.Conv1d(4, 4, 3, padding=1))
    instance = Residual(convolution, nn.InstanceNorm1d(4, affine=True), nn.Hardswish())
    groups = Branches(nn.Conv1d(4, 4, 1), nn.Conv1d(4, 2, 1))
    return nn.Sequential(nn.Conv1d(2, 4, 1), instance, groups, nn.GroupNorm(2, 6), nn.Conv1d(6, 2, 1))


def _upsampled() -> nn.Module:
    cat = Branches(nn.Conv2d(4, 3, 1), nn.Sequential(nn.Conv2d(4, 5, 1), nn.ELU()))
    up = [nn.Upsample(scale_factor=2, mode="bilinear"), nn.ReflectionPad2d(1), nn.Conv2d(8, 4, 3)]
    return nn.Sequential(nn.Conv2d(3, 4, 3, 2, padding_mode="circular", padding=1), cat, *up)


def _images(size: int = 8) -> Tensor:
    return torch.randn(4, 3, size, size)


NETWORKS: dict[str, tuple[Callable[[], nn.Module], Callable[[], Any]]] = {
    "temporal convolutions": (_temporal, lambda: torch.randn(4, 3, 16)),
    "volumetric convolutions": (_volumetric, lambda: torch.randn(4, 2, 6, 6, 6)),
    "transposed convolutions": (_Decoder, _images),
    "grouped convolutions": (_grouped, _images),
    "shuffled channels": (_shuffled, _images),
    "recurrent layers": (_Recurrent, lambda: torch.randn(4, 5, 3)),
    "shared modules": (_Shared, _images),
    "tied embeddings": (_Tied, lambda: torch.randint(20, (4, 6))),
    "weight standardisation": (
        lambda: nn.Sequential(
            _Standardised(3, 6, 3),
            Residual(_Standardised(6, 6, 1), nn.ReLU()),
            Residual(_Standardised(6, 6, 3, padding=1, bias=False), nn.GELU()),
            nn.Conv2d(6, 2, 1),
        ),
        _images,
    ),
    "scales and random depth": (_Scaled, _images),
    "writes through views": (_Written, lambda: torch.randn(4, 6)),
    "flattened concatenation": (_Flattened, _images),
    "windows of channels": (_Windows, _images),
    "gates and differences": (_Gated, _images),
    "cross attention": (_Attention, lambda: torch.randn(4, 5, 8)),
    "rotary positions": (_Rotary, lambda: torch.randn(4, 5, 8)),
    "auxiliary head": (_TwoHeads, lambda: torch.randn(4, 4)),
    "nested inputs and outputs": (
        _Nested,
        lambda: ((torch.randn(4, 3, 8, 8), torch.randn(4, 2, 8, 8)), {"depth": torch.randn(4, 1, 8, 8)}),
    ),
    "normalised weights": (_normalised, lambda: torch.randn(4, 2, 12)),
    "upsampled and padded": (_upsampled, _images),
}
"""By name: what makes the network, and what makes its inputs."""
