"""Small networks, each with one thing that makes tracing hard."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional


class Block(nn.Module):
    def __init__(self, width: int, bias: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1, bias=bias)
        self.norm = nn.BatchNorm2d(width)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.norm(self.conv(x)) + x)


class Residual(nn.Module):
    """Two residual blocks; every activation writes in place."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, bias=False)
        self.blocks = nn.Sequential(Block(8), Block(8, bias=False))
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(self.stem(x)).mean((-2, -1)))


class WritesThroughViews(nn.Module):
    """In-place writes to a view of a parameter's copy, of a constant and of an activation."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 12)

    def forward(self, x: Tensor) -> Tensor:
        bias = self.linear.bias.clone()
        bias[4:8].zero_()
        y = functional.linear(x, self.linear.weight, bias)
        mask = x.new_zeros(3, 4)
        mask[1:2, 0:3] = 2
        y.view(-1, 3, 4).mul_(2)
        y[:, 2] = 0.5
        y.t()[1].add_(1)
        return y.view(-1, 3, 4) + mask


class CalledTwice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(torch.tanh(self.linear(x)))


class Tied(nn.Module):
    """One matrix looks tokens up and scores them."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(7, 6)
        self.scores = nn.Linear(6, 7, bias=False)
        self.scores.weight = self.tokens.weight

    def forward(self, ids: Tensor) -> Tensor:
        return self.scores(self.tokens(ids).mean(1))


class FunctionalParameters(nn.Module):
    """Parameters and buffers that no module owns, and one that nobody reads."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(6))
        self.shift = nn.Parameter(torch.zeros(6))
        self.unused = nn.Parameter(torch.ones(2))
        self.register_buffer("offset", torch.arange(6.0))
        self.idle = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gain + self.shift + self.offset


class Named(nn.Module):
    """Returns a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 6)

    def forward(self, x: Tensor) -> dict[str, object]:
        y = self.linear(x)
        first, second = y.chunk(2, -1)
        return {"both": y, "parts": (first, second), "none": None}


class Heads(NamedTuple):
    main: Tensor
    auxiliary: Tensor


class Auxiliary(nn.Module):
    """A second head that is there in training mode only."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.main = nn.Linear(4, 3)
        self.extra = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Heads | Tensor:
        x = functional.relu(self.linear(x))
        return Heads(self.main(x), self.extra(x)) if self.training else self.main(x)


class WithoutGradient(nn.Module):
    """Positions and a gate that are computed without gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.gate = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            positions = torch.arange(4.0) / 4
            gate = self.gate(x)
        return self.linear(x) * gate + positions


class Dropouts(nn.Module):
    """A dropout module, one that writes in place, and one that is a function."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(16, 16)
        self.drop = nn.Dropout(0.4)
        self.drop_in_place = nn.Dropout(0.3, inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.drop_in_place(self.drop(self.linear(x)))
        return functional.dropout(y, 0.2, self.training)


class StochasticDepth(nn.Module):
    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        keep = torch.empty(x.shape[0], 1).bernoulli_(1 - self.p)
        return x * keep / (1 - self.p)


class Deep(nn.Module):
    """A residual branch that is dropped by the sample."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 8)
        self.drop_path = StochasticDepth(0.5)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.drop_path(torch.relu(self.linear(x)))


class OwnNorm(nn.BatchNorm2d):
    """A subclass with a forward of its own."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(super().forward(x))


class Subclassed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = OwnNorm(4)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x))


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, dropout=0.2, batch_first=True)
        self.norm = nn.LayerNorm(8)
        self.token = nn.Parameter(torch.zeros(1, 1, 8))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1)
        return x + self.attention(self.norm(x), x, x, need_weights=False)[0]


class Recurrent(nn.Module):
    """An LSTM that drops values between its layers."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(4, 6, 2, dropout=0.5, batch_first=True)
        self.head = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.lstm(x)[0][:, -1])


class Parametrized(nn.Module):
    """A weight that is computed from two parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.utils.parametrizations.weight_norm(nn.Conv1d(4, 4, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x).mean(-1)


class Hooked(nn.Module):
    """A hook changes what a layer returns."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.linear.register_forward_hook(lambda module, inputs, output: output * 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x)


class Reshapes(nn.Module):
    """Sizes of the batch, read from everywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        b, n, c = x.shape
        windows = self.linear(x).view(b * n // 2, 2, c)
        y = windows.view(windows.shape[0] // (n // 2), n, c)
        noise = torch.zeros(y.shape[0], 1, 1) + y.new_ones(y.size(0), n, 1)
        return (y + noise.expand_as(y)).reshape(y.size(0), -1)


class NestedInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, pair: tuple[Tensor, Tensor], extra: dict[str, Tensor]) -> Tensor:
        return self.linear(pair[0]) + pair[1] * extra["scale"]


def _images() -> Tensor:
    return torch.randn(2, 3, 8, 8)


NETWORKS: dict[str, tuple[type[nn.Module], object]] = {
    "in_place": (Residual, _images()),
    "writes_through_views": (WritesThroughViews, torch.randn(2, 8)),
    "called_twice": (CalledTwice, torch.randn(2, 6)),
    "tied": (Tied, torch.tensor([[0, 1, 2], [3, 4, 6]])),
    "functional_parameters": (FunctionalParameters, torch.randn(2, 6)),
    "dict_output": (Named, torch.randn(1, 4)),
    "auxiliary": (Auxiliary, torch.randn(2, 4)),
    "without_gradient": (WithoutGradient, torch.randn(2, 4)),
    "dropouts": (Dropouts, torch.randn(2, 16)),
    "stochastic_depth": (Deep, torch.randn(8, 8)),
    "subclassed_norm": (Subclassed, _images()),
    "attention": (Attention, torch.randn(2, 5, 8)),
    "recurrent": (Recurrent, torch.randn(2, 5, 4)),
    "parametrized": (Parametrized, torch.randn(2, 4, 8)),
    "hooked": (Hooked, torch.randn(2, 4)),
    "reshapes": (Reshapes, torch.randn(2, 6, 4)),
    "nested_inputs": (NestedInputs, ((torch.randn(2, 4), torch.randn(2, 4)), {"scale": torch.randn(2, 4)})),
    "keywords": (CalledTwice, {"x": torch.randn(2, 6)}),
}
