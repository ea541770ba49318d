"""A small network with norms and two mixed operations, whose architecture parameters are its own."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from nasviz.nas.methods import DARTS, RARTS, MiLeNAS
from nasviz.nas.rarts import Relaxation
from nasviz.nas.relaxed_optimizer import RelaxedOptimizer, architecture_adam


class Mixed(nn.Module):
    """Each of two edges weighs a linear map with a norm, another without, and the identity."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(4, 6)
        self.edges = nn.ModuleList(
            nn.ModuleList([nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6)), nn.Linear(6, 6), nn.Identity()])
            for _ in range(2)
        )
        self.head = nn.Linear(6, 3)
        self.alphas = nn.ParameterList(1e-3 * torch.randn(3) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for edge, alpha in zip(self.edges, self.alphas, strict=True):
            shares = alpha.softmax(0)
            x = torch.tanh(sum(share * operation(x) for share, operation in zip(shares, edge, strict=True)))
        return self.head(x)

    def weights(self) -> list[nn.Parameter]:
        own = {id(alpha) for alpha in self.alphas}
        return [p for p in self.parameters() if id(p) not in own]


METHODS: dict[str, tuple[type[RelaxedOptimizer], dict]] = {
    "darts first": (DARTS, {}),
    "darts second": (DARTS, {"order": "second"}),
    "milenas": (MiLeNAS, {"validation_weight": 0.5}),
    "rarts": (RARTS, {"relaxation": Relaxation(0.8, 0.5)}),
}


def build(name: str, seed: int = 0, dtype=torch.float32, **settings) -> tuple[Mixed, RelaxedOptimizer]:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = Mixed().to(dtype)
    kind, own = METHODS[name]
    inner = torch.optim.SGD(net.weights(), lr=0.05, momentum=0.9, weight_decay=3e-4)
    return net, kind(net, inner, architecture_adam(net.alphas, lr=0.01), **own | settings)


def batch_loss(net: nn.Module, number: int, dtype=torch.float32) -> Callable[[], Tensor]:
    """The loss of a batch that depends on its number alone."""
    generator = torch.Generator().manual_seed(number)
    x = torch.randn(16, 4, generator=generator).to(dtype)
    y = torch.randint(3, (16,), generator=generator)
    return lambda: nn.functional.cross_entropy(net(x), y)


def train(net: nn.Module, optimizer: RelaxedOptimizer, first: int, last: int) -> list[float]:
    return [
        optimizer.step(batch_loss(net, 2 * step), batch_loss(net, 2 * step + 1)).item()
        for step in range(first, last)
    ]
