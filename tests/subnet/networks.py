"""The smallest network for each rule of construction: two or three branches, a joint, and what follows it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def conv_norm(ins: int, outs: int, kernel: int = 3) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(ins, outs, kernel, padding=kernel // 2), nn.BatchNorm2d(outs))


class Branches(nn.Module):
    """A stem, three branches, their concatenation, and a tail."""

    def __init__(self, tail: nn.Module, widths: tuple[int, int, int] = (3, 4, 5)) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 4, 3, padding=1)
        self.a, self.b, self.c = conv_norm(4, widths[0]), conv_norm(4, widths[1]), nn.Conv2d(4, widths[2], 1)
        self.tail = tail

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.stem(x))
        return self.tail(torch.cat([self.a(x), functional.relu(self.b(x)), self.c(x)], 1))


class Call(nn.Module):
    """A function as a module."""

    def __init__(self, function, *parts: nn.Module) -> None:
        super().__init__()
        self.function, self.parts = function, nn.ModuleList(parts)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, *self.parts)


def shuffle(x: Tensor, groups: int) -> Tensor:
    batch, channels, height, width = x.shape
    x = x.view(batch, groups, channels // groups, height, width).transpose(1, 2)
    return x.reshape(batch, channels, height, width)


def conv_tail() -> nn.Module:
    return nn.Conv2d(12, 6, 3, padding=1)


CAT_TAILS = {
    "conv columns": lambda: conv_tail(),
    "transposed conv rows": lambda: nn.ConvTranspose2d(12, 6, 3),
    "norm rows": lambda: nn.Sequential(nn.BatchNorm2d(12), nn.ReLU(), conv_tail()),
    "pool and dropout": lambda: nn.Sequential(nn.MaxPool2d(2), nn.Dropout(0.5), nn.AvgPool2d(2), conv_tail()),
    "linear after flatten": lambda: nn.Sequential(nn.Flatten(), nn.Linear(12 * 64, 7)),
    "mean over space": lambda: nn.Sequential(Call(lambda x: x.mean([2, 3])), nn.Linear(12, 7)),
    "mean over space, axes kept": lambda: nn.Sequential(
        Call(lambda x: x.mean([2, 3], keepdim=True)), nn.Conv2d(12, 3, 1)
    ),
    "view with literal sizes": lambda: nn.Sequential(
        Call(lambda x: x.view(x.shape[0], 12 * 64)), nn.Linear(12 * 64, 7)
    ),
    "view with a wildcard": lambda: nn.Sequential(
        Call(lambda x: x.view(-1, 12, 64)), Call(lambda x: x.mean(2)), nn.Linear(12, 7)
    ),
    "channels moved last": lambda: nn.Sequential(Call(lambda x: x.permute(0, 2, 3, 1)), nn.Linear(12, 7)),
    "depthwise with bias": lambda: nn.Sequential(
        nn.Conv2d(12, 24, 3, padding=1, groups=12), nn.BatchNorm2d(24), nn.Conv2d(24, 5, 1)
    ),
    "prelu per channel": lambda: nn.Sequential(nn.PReLU(12), conv_tail()),
    "one prelu": lambda: nn.Sequential(nn.PReLU(), conv_tail()),
    "upsampled": lambda: nn.Sequential(
        nn.Upsample(scale_factor=2, mode="bilinear"), nn.Hardswish(), conv_tail()
    ),
    "two readers": lambda: Call(
        lambda x, one, two: one(x) + two(functional.gelu(x)), conv_tail(), nn.Conv2d(12, 6, 1)
    ),
    "left as an output": lambda: nn.ReLU(),
    "squeezed": lambda: nn.Sequential(
        nn.AdaptiveAvgPool2d(1), Call(lambda x: x.squeeze(3).squeeze(2)), nn.Linear(12, 7)
    ),
    "nested cat": lambda: Call(
        lambda x, one, two: two(torch.cat([one(x), x], 1)), conv_norm(12, 2), nn.Conv2d(14, 5, 1)
    ),
}
# More of the same with even widths, for operators that move channels about.
MOVING_TAILS = {
    "channels moved by a transpose": lambda: nn.Sequential(
        nn.Flatten(2), Call(lambda x: x.transpose(1, 2)), nn.Linear(12, 3)
    ),
    "whole groups": lambda: nn.Sequential(nn.Conv2d(12, 9, 3, groups=3), nn.Conv2d(9, 2, 1)),
    "shuffled": lambda: nn.Sequential(Call(lambda x: shuffle(x, 3)), nn.ReLU(), conv_tail()),
    "shuffled and halved": lambda: nn.Sequential(
        Call(lambda x: shuffle(x, 3)), Call(lambda x: x.chunk(2, 1)[1] * 2), nn.Conv2d(6, 3, 1)
    ),
    "split evenly": lambda: nn.Sequential(
        Call(lambda x: shuffle(x, 3)), Call(lambda x: x.split(6, 1)[0]), nn.Conv2d(6, 3, 1)
    ),
    "halved along space": lambda: nn.Sequential(Call(lambda x: x.chunk(2, 2)[0]), conv_tail()),
    "rows of space apart": lambda: nn.Sequential(Call(lambda x: x.unbind(2)[1]), nn.Conv1d(12, 3, 1)),
    "pixels shuffled": lambda: nn.Sequential(nn.PixelShuffle(2), nn.Conv2d(3, 2, 1)),
    "pixels unshuffled": lambda: nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(48, 2, 1)),
    "groups of a norm": lambda: nn.Sequential(nn.GroupNorm(3, 12), conv_tail()),
    "module called twice": lambda: Call(lambda x, one: one(x) + one(functional.relu(x)), conv_tail()),
    "conv of a scaled weight": lambda: Call(lambda x, one: functional.conv2d(x, one.weight * 2), conv_tail()),
    "unflattened": lambda: nn.Sequential(nn.Unflatten(1, (3, 4)), nn.Flatten(1, 2), conv_tail()),
    "with one more axis": lambda: nn.Sequential(
        Call(lambda x: x.unsqueeze(2)), nn.Conv3d(12, 3, (1, 3, 3)), nn.Flatten()
    ),
}
# Channels that are another number than zero behind the concatenation, until a linear map reads them.
FOLDED_TAILS = {
    "sigmoid": lambda: nn.Sequential(nn.Sigmoid(), nn.Conv2d(12, 6, 1)),
    "sigmoid, no bias": lambda: nn.Sequential(
        nn.Sigmoid(), nn.Conv2d(12, 6, 1, bias=False), nn.BatchNorm2d(6)
    ),
    "numbers, one after the other": lambda: nn.Sequential(
        Call(lambda x: 2 - (x + 0.7) * 3), nn.ELU(), nn.Flatten(), nn.Linear(12 * 64, 4, bias=False)
    ),
    "unpadded window": lambda: nn.Sequential(nn.Sigmoid(), nn.GELU(), nn.Conv2d(12, 6, 3)),
    "borders copied from within": lambda: nn.Sequential(
        nn.Hardsigmoid(), nn.ReflectionPad2d(1), nn.Conv2d(12, 6, 3)
    ),
    "constant mean": lambda: nn.Sequential(nn.Softplus(), Call(lambda x: x.mean([2, 3])), nn.Linear(12, 4)),
    "constant sum": lambda: nn.Sequential(nn.Softplus(), Call(lambda x: x.sum([2, 3])), nn.Linear(12, 4)),
    "pools": lambda: nn.Sequential(
        nn.Sigmoid(), nn.MaxPool2d(3, 1, 1), nn.AvgPool2d(2), nn.Upsample(scale_factor=2), nn.Conv2d(12, 6, 1)
    ),
    "several numbers side by side": lambda: Call(
        lambda x, one: one(torch.cat([x.sigmoid(), x, x.exp()], 1)), nn.Conv2d(36, 5, 1)
    ),
    "difference of numbers": lambda: Call(
        lambda x, one: one(torch.sub(x.sigmoid(), x.exp(), alpha=2)), nn.Conv2d(12, 5, 1)
    ),
    "product of numbers": lambda: Call(lambda x, one: one(x.sigmoid() * x.exp()), nn.Conv2d(12, 5, 1)),
    "numbers in another order": lambda: Call(
        lambda x, one: one(shuffle(torch.cat([x.sigmoid(), x.cos()], 1), 2)), nn.Conv2d(24, 6, 1)
    ),
}
# Channels that lie in between others behind the concatenation.
REORDERED_TAILS = {
    "interleaved": lambda: nn.Sequential(Call(lambda x: shuffle(x, 2)), nn.ReLU(), conv_tail()),
    "interleaved and halved": lambda: Call(
        lambda x, one, two: one((halves := shuffle(x, 2).chunk(2, 1))[0]) + two(halves[1].sigmoid()),
        nn.Conv2d(6, 3, 1),
        nn.Conv2d(6, 3, 1),
    ),
    "interleaved and split": lambda: Call(
        lambda x, one, two: one((parts := shuffle(x, 2).split([6, 6], 1))[0]) + two(parts[1]),
        nn.Conv2d(6, 3, 1),
        nn.Conv2d(6, 3, 1),
    ),
    "every second one": lambda: nn.Sequential(Call(lambda x: x[:, ::2]), nn.Conv2d(6, 3, 1)),
    "shuffled by a module": lambda: nn.Sequential(nn.ChannelShuffle(2), conv_tail()),
    "shuffled again and again": lambda: nn.Sequential(
        Call(lambda x: shuffle(x, 2)), Call(lambda x: shuffle(x, 3).roll(1, 3)), conv_tail()
    ),
}
MATERIALISED_TAILS = {
    "group norm": lambda: nn.Sequential(nn.GroupNorm(1, 12), conv_tail()),
    "layer norm": lambda: nn.Sequential(
        Call(lambda x: x.permute(0, 2, 3, 1)), nn.LayerNorm(12), nn.Linear(12, 7)
    ),
    "sigmoid before a padded window": lambda: nn.Sequential(nn.Sigmoid(), conv_tail()),
    "numbers before a padded window": lambda: Call(
        lambda x, one: one(torch.cat([x.sigmoid(), x, x.exp()], 1)), nn.Conv2d(36, 5, 3, padding=1)
    ),
    "sigmoid before a padded average": lambda: nn.Sequential(
        nn.Sigmoid(), nn.AvgPool2d(3, 1, 1), nn.Conv2d(12, 6, 1)
    ),
    "sigmoid before a dropout": lambda: nn.Sequential(nn.Sigmoid(), nn.Dropout(0.5), nn.Conv2d(12, 6, 1)),
    "sigmoid before a depthwise convolution": lambda: nn.Sequential(
        nn.Sigmoid(), nn.Conv2d(12, 12, 1, groups=12), nn.Conv2d(12, 6, 1)
    ),
    "read on the way through a shuffle": lambda: Call(
        lambda x, one: one(shuffle(x, 2)).mean((2, 3)) + x.view(x.shape[0], 2, 6, 8, 8).amax((1, 3, 4)),
        nn.Conv2d(12, 6, 1),
    ),
    "softmax over channels": lambda: nn.Sequential(nn.Softmax(1), conv_tail()),
    "two groups": lambda: nn.Sequential(nn.Conv2d(12, 6, 3, groups=2), nn.ReLU()),
    "gate": lambda: Call(lambda x, one: x * torch.sigmoid(one(x)), nn.Conv2d(12, 12, 1)),
    "squared into itself": lambda: Call(lambda x: torch.matmul(x.flatten(2), x.flatten(2).transpose(1, 2))),
    "module called on other channels too": lambda: Call(
        lambda x, one: one(x) + one(x.exp().flip(1)), conv_tail()
    ),
}


class Sum(nn.Module):
    """Two branches, added or subtracted, with a scale."""

    def __init__(self, function) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 4, 3, padding=1)
        self.a, self.b = conv_norm(4, 4), nn.Conv2d(4, 4, 1)
        self.head = nn.Linear(4, 5)
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).relu()
        return self.head(functional.relu(self.function(self.a(x), self.b(x)) + 0.1).mean([2, 3]))


SUMS = {
    "sum": lambda a, b: a + b,
    "scaled sum": lambda a, b: torch.add(a, b, alpha=2),
    "difference": lambda a, b: a - b,
    "scaled difference": lambda a, b: torch.sub(a, b, alpha=3),
    "in place": lambda a, b: a.add_(b),
}


class Orphan(nn.Module):
    """Two branches meet in an addition; what follows it is orphaned when both go, with its bias and norm."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 4, 3, padding=1)
        self.a, self.b, self.c = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)
        self.after, self.head = conv_norm(4, 4), nn.Conv2d(4, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        return self.head(self.after(self.a(x) + self.b(x)) + self.c(x))


class DeadEnd(nn.Module):
    """A chain of joints that nothing reads once the last branch has gone."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 4, 3, padding=1)
        self.a, self.b, self.c = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1), conv_norm(4, 4)
        self.last, self.head = nn.Conv2d(8, 4, 1), nn.Conv2d(4, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        deep = torch.cat([self.a(x), self.b(x)], 1)
        return self.head(self.last(deep) + self.c(x))


class Uneven(nn.Module):
    """Two concatenations that miss different channels meet in an addition."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 4, 3, padding=1)
        self.parts = nn.ModuleList(nn.Conv2d(4, width, 1) for width in (2, 4, 3, 3))
        self.head = nn.Conv2d(6, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        a, b, c, d = [part(x) for part in self.parts]
        return self.head(torch.cat([a, b], 1) + torch.cat([c, d], 1))


class Auxiliary(nn.Module):
    """An auxiliary head in training mode only."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 4, 3, padding=1)
        self.a, self.b = conv_norm(4, 4), conv_norm(4, 4)
        self.auxiliary, self.head = nn.Linear(8, 3), nn.Linear(8, 3)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: Tensor):
        x = self.stem(x)
        x = torch.cat([self.a(x), self.b(x)], 1).mean([2, 3])
        if self.training:
            return {"out": self.head(self.dropout(x)), "aux": self.auxiliary(x)}
        return self.head(self.dropout(x))


class TwoHeads(nn.Module):
    """Two outputs, each of two branches."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 4, 3, padding=1)
        self.a, self.b, self.c, self.d = (conv_norm(4, 4) for _ in range(4))
        self.head, self.other = nn.Conv2d(4, 3, 1), nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.stem(x)
        return self.head(self.a(x) + self.b(x)), self.other(self.c(x) + self.d(x))


class Tokens(nn.Module):
    """Tokens, two branches of linear maps over them, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(7, 4)
        self.a, self.b, self.head = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.table(tokens)
        return self.head(self.a(x) + functional.gelu(self.b(x)))
