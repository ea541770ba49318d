"""The smallest problem that has all a group can have: own tensors, entailed rows, orphans, a remainder."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from nasviz.optim import H2SPG, Rows, Selection, TensorGroup

SELECTED, ORPHANED, KEPT = (1, 2), (3,), (4, 5)


class Branches(nn.Module):
    """Branches a, b and c are concatenated under one norm; d, e are added. Orphan o follows a and b."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(4, 6)
        self.a, self.b, self.c = nn.Linear(6, 2), nn.Linear(6, 3), nn.Linear(6, 2)
        self.o = nn.Linear(5, 4)
        self.norm = nn.BatchNorm1d(11)
        self.d, self.e = nn.Linear(11, 5), nn.Linear(11, 5)
        self.head = nn.Linear(5, 3)
        self.unused = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.stem(x))
        a, b = self.a(x), self.b(x)
        o = self.o(torch.cat([a, b], 1))
        x = self.norm(torch.cat([a, b, self.c(x), o], 1)[:, :11])
        return self.head(torch.tanh(self.d(x) + self.e(x)))

    def groups(self) -> dict[int, TensorGroup]:
        owners = enumerate((self.a, self.b, self.o, self.d, self.c), start=1)
        return {i: TensorGroup(tuple(owner.parameters())) for i, owner in owners}

    def selection(self) -> Selection:
        def rows(first: int, last: int) -> tuple[Rows, ...]:
            index = torch.arange(first, last)
            return Rows(self.norm.weight, 0, index), Rows(self.norm.bias, 0, index)

        groups = self.groups()
        entailed = {1: rows(0, 2), 2: rows(2, 5), 3: rows(7, 10)}
        members = {i: TensorGroup(groups[i].tensors, entailed[i]) for i in (*SELECTED, *ORPHANED)}
        remainder = TensorGroup((), (*rows(10, 11), *rows(0, 2)))
        return Selection(SELECTED, ORPHANED, members, remainder)

    def zeros(self) -> dict[str, Tensor]:
        """For each parameter: what must be zero in the end."""
        masks = {name: torch.zeros(p.shape, dtype=torch.bool) for name, p in self.named_parameters()}
        for name in ("a.weight", "a.bias", "b.weight", "b.bias", "o.weight", "o.bias"):
            masks[name][...] = True
        for name in ("norm.weight", "norm.bias"):
            masks[name][[0, 1, 2, 3, 4, 7, 8, 9, 10]] = True
        return masks


Base = Callable[[list[nn.Parameter]], Optimizer]

BASES: dict[str, Base] = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1),
    "sgd momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=1e-2),
    "sgd nesterov": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "sgd dampening": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.5, foreach=True),
    "sgd one by one": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, foreach=False),
    "sgd fused": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, fused=True),
    "adam": lambda p: torch.optim.Adam(p, lr=0.02, weight_decay=1e-2),
    "adam amsgrad": lambda p: torch.optim.Adam(p, lr=0.02, amsgrad=True, foreach=True),
    "adam fused": lambda p: torch.optim.Adam(p, lr=0.02, fused=True),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.02),
    "adamw amsgrad": lambda p: torch.optim.AdamW(p, lr=0.02, amsgrad=True),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01, momentum=0.9, centered=True),
    "nadam": lambda p: torch.optim.NAdam(p, lr=0.02),
    "asgd": lambda p: torch.optim.ASGD(p, lr=0.1),
}


def build(seed: int = 0) -> Branches:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Branches()


def h2spg(net: Branches, base: str | Optimizer = "sgd momentum", **settings) -> H2SPG:
    inner = BASES[base](list(net.parameters())) if isinstance(base, str) else base
    settings = {"warmup_steps": 4, "projection_steps": 5} | settings
    selection = settings.pop("selection", net.selection())
    return H2SPG(inner, net.groups(), lambda scores: selection, **settings)


def backward(net: nn.Module, step: int) -> Tensor:
    """Gradients of a batch that depends on the step alone."""
    generator = torch.Generator().manual_seed(step)
    x, y = torch.randn(16, 4, generator=generator), torch.randint(3, (16,), generator=generator)
    loss = nn.functional.cross_entropy(net(x), y)
    net.zero_grad()
    loss.backward()
    return loss


def train(net: nn.Module, optimizer: Optimizer, first: int, last: int) -> None:
    for step in range(first, last):
        backward(net, step)
        optimizer.step()


def equal(one: nn.Module, other: nn.Module) -> bool:
    """Bitwise."""
    return all(torch.equal(p, q) for p, q in zip(one.parameters(), other.parameters(), strict=True))
