"""One of several processes that train the same network on their shares of every batch."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

import nasviz

BATCH, STEPS, K = 12, 14, 2


class Sums(nn.Module):
    """Three sums of two branches each, in double precision and without batch statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Linear(4, 6), nn.Linear(6, 3)
        self.one = nn.ModuleList(nn.Linear(6, 6) for _ in range(3))
        self.other = nn.ModuleList(nn.Linear(6, 6) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.tanh(self.stem(x))
        for one, other in zip(self.one, self.other, strict=True):
            x = torch.tanh(one(x) + other(x))
        return self.head(x)


def train(base: str, rank: int, num_processes: int) -> dict[str, object]:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    net = nasviz.trace(Sums().double(), torch.randn(2, 4, dtype=torch.float64))
    space = nasviz.search_space(net)
    steps = {"warmup_steps": 4, "projection_steps": 5}
    optimizer = nasviz.optim.create("h2spg", net, space, base=base, lr=0.05, target_sparsity=K, **steps)
    model = DistributedDataParallel(net) if num_processes > 1 else net
    generator = torch.Generator().manual_seed(1)
    for _ in range(STEPS):
        x = torch.randn(BATCH, 4, dtype=torch.float64, generator=generator)
        y = torch.randint(3, (BATCH,), generator=generator)
        mine = slice(rank, None, num_processes)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x[mine]), y[mine]).backward()
        optimizer.step()
    facts = {"scores": optimizer.scores, "selected": optimizer.selected, "zeroed_by": optimizer.zeroed_by}
    return facts | {"weights": dict(net.state_dict())}


def main(base: str, rank: int, num_processes: int, folder: Path) -> None:
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=num_processes
    )
    torch.save(train(base, rank, num_processes), folder / f"{rank}.pt")
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
