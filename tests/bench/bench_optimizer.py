"""What H2SPG costs beside a plain step of torch.optim, phase by phase, on the parameters of real networks.

Prints milliseconds of a step and its ratio to a step of the same inner optimizer alone: both are taken in
turn in one process, so that other work on the machine hits them alike, and the medians of the faster half are
compared. On a processor the time of this process counts, on a GPU that on the clock. A run counts 10 %
warm-up, of which every n-th step is scored, 20 % projection and 70 % training afterwards; a training step is
the whole of forward, backward and optimizer.

    python tests/bench/bench_optimizer.py [--networks resnet18 darts_8 vit_b_16] [--device cuda] [--fused]
"""

from __future__ import annotations

import argparse
import copy
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parents[2]))  # runs on a bare clone, too

import nasviz
from nasviz.catalog import NetworkSource
from nasviz.graph import SearchSpace

LONG = 10**6
"""Steps of a phase that shall not end while it is timed."""
SHARES = {"warm-up": 0.1, "projection": 0.2, "training": 0.7}
WARM_UP_STEPS = 300
"""Of a run, to tell n: as many steps lie from one scoring to the next as in a run with so long a warm-up."""
SHAPES = {"resnet18": (3, 32, 32), "darts_8": (3, 32, 32), "vit_b_16": (3, 224, 224)}
BATCHES = {"resnet18": 64, "darts_8": 8}
"""Networks of which whole training steps are timed, too; small images, so that the optimizer weighs much."""

Inner = Callable[[list[Tensor]], torch.optim.Optimizer]


def inners(is_fused: bool) -> dict[str, Inner]:
    path: dict[str, Any] = {"fused": True} if is_fused else {"foreach": True}
    return {
        "sgd": lambda p: torch.optim.SGD(p, lr=1e-3, momentum=0.9, weight_decay=5e-4, **path),
        "adamw": lambda p: torch.optim.AdamW(p, lr=1e-3, **path),
    }


def phases(score_every: int) -> Iterator[tuple[str, dict[str, Any]]]:
    warm = {"warmup_steps": LONG, "projection_steps": LONG}
    yield "warm-up, not scored", warm | {"score_every": LONG}
    for saliency in ("snip", "taylor", "documents"):
        yield f"warm-up, {saliency} scored", warm | {"score_every": 1, "saliency": saliency}
    yield "projection, both", {"warmup_steps": 1, "projection_steps": LONG}
    yield "projection, every step tested", {"warmup_steps": 1, "projection_steps": LONG, "epsilon": 0.9999}
    yield "training, structures at zero", {"warmup_steps": 1, "projection_steps": 1}


def in_turn(works: Sequence[Callable[[], Any]], sync: Callable[[], Any], repeats: int) -> tuple[float, ...]:
    """Milliseconds of each work: the median of the faster half of its repeats."""
    clock = time.perf_counter if sync is torch.cuda.synchronize else time.process_time
    times: list[list[float]] = [[] for _ in works]
    for _ in range(repeats):
        for work, found in zip(works, times, strict=True):
            sync()
            start = clock()
            work()
            sync()
            found.append(1e3 * (clock() - start))
    return tuple(median(sorted(found)[: (repeats + 1) // 2]) for found in times)


def with_gradients(net: nn.Module) -> list[Tensor]:
    parameters = list(net.parameters())
    for parameter in parameters:
        parameter.grad = torch.randn_like(parameter) * 1e-3
    return parameters


def extra_memory_mb(optimizer: Any) -> float:
    """What H2SPG keeps besides its inner optimizer, in MiB."""
    trails = [optimizer._redundant.history, optimizer._scores._history]
    kept = [t for trail in trails if trail for t in (*trail._before, *trail._moved)]
    kept += [t for scaler in (optimizer._held, optimizer._redundant._scaler) for t in scaler._others * 2]
    return sum(t.numel() * t.element_size() for t in kept) / 2**20


class Bench:
    """One network with copies for the two optimizers to train."""

    def __init__(self, name: str, device: torch.device, repeats: int) -> None:
        self.name, self.device, self.repeats = name, device, repeats
        self.sync = torch.cuda.synchronize if device.type == "cuda" else lambda: None
        source = NetworkSource(name, input_shape=SHAPES[name], num_classes=10)
        self.net = nasviz.trace(*nasviz.zoo.build(source, seed=0))
        self.space: SearchSpace = nasviz.search_space(self.net)
        self.k = self.space.max_sparsity // 2
        self.score_every = max(1, WARM_UP_STEPS // 32)

    def describe(self) -> str:
        tensors = list(self.net.parameters())
        millions = sum(p.numel() for p in tensors) / 1e6
        return (
            f"{self.name}: {len(self.space.removable)} structures, K = {self.k} (half of K_max);"
            f" {len(tensors)} tensors, {millions:.1f} M parameters; every {self.score_every}th step is scored"
        )

    def pair(self, make: Inner, settings: dict[str, Any]) -> tuple[Any, Any]:
        """The inner optimizer alone, and H2SPG around another one, each on a copy of the network."""
        nets = [copy.deepcopy(self.net).to(self.device) for _ in range(2)]
        plain, base = (make(with_gradients(net)) for net in nets)
        own = nasviz.optim.create("h2spg", nets[1], self.space, base=base, target_sparsity=self.k, **settings)
        for _ in range(3):  # past the single step of the shortest phases
            plain.step()
            own.step()
        return plain, own

    def steps(self, make: Inner) -> dict[str, float]:
        """Ratio of each phase, printed."""
        ratios: dict[str, float] = {}
        for phase, settings in phases(self.score_every):
            plain, own = self.pair(make, settings)
            alone, taken = in_turn((plain.step, own.step), self.sync, self.repeats)
            ratios[phase] = taken / alone
            memory = extra_memory_mb(own)
            print(
                f"    {phase:31} {taken:8.2f} ms, inner {alone:8.2f} ms  {taken / alone:5.2f} x"
                f"   extra memory {memory:.1f} MiB"
            )
        return ratios

    def selection_ms(self, make: Inner) -> float:
        """How much longer the one step takes that ends with the selection."""
        plain, own = self.pair(make, {"warmup_steps": 5, "projection_steps": LONG, "score_every": LONG})
        own.step()
        alone, taken = in_turn((plain.step, own.step), self.sync, 1)
        return taken - alone

    def run_ratio(self, ratios: dict[str, float]) -> float:
        """Of a whole run, the selection left out."""
        scored, plain = ratios["warm-up, snip scored"], ratios["warm-up, not scored"]
        warm = plain + (scored - plain) / self.score_every
        parts = warm, ratios["projection, both"], ratios["training, structures at zero"]
        return sum(share * ratio for share, ratio in zip(SHARES.values(), parts, strict=True))

    def training_ratio(self, make: Inner) -> tuple[float, float]:
        """Milliseconds of a whole training step in the projection, and its ratio to that of the inner one."""
        plain, own = self.pair(make, {"warmup_steps": 1, "projection_steps": LONG})
        batch = BATCHES[self.name]
        images = torch.randn(batch, *SHAPES[self.name], device=self.device)
        labels = torch.randint(10, (batch,), device=self.device)
        nets = [copy.deepcopy(self.net).to(self.device) for _ in range(2)]

        def whole(net: nn.Module, optimizer: torch.optim.Optimizer) -> None:
            own_parameters = (p for group in optimizer.param_groups for p in group["params"])
            net.zero_grad()
            nn.functional.cross_entropy(net(images), labels).backward()
            for mine, its in zip(own_parameters, net.parameters(), strict=True):
                mine.grad = its.grad
            optimizer.step()

        works = [lambda n=n, o=o: whole(n, o) for n, o in zip(nets, (plain, own), strict=True)]
        alone, taken = in_turn(works, self.sync, max(5, self.repeats // 3))
        return taken, taken / alone


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--networks", nargs="*", default=list(SHAPES), choices=list(SHAPES))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--fused", action="store_true", help="fused inner optimizers instead of foreach")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    print(f"{arguments.device}, torch {torch.__version__}, {arguments.threads} threads")
    for name in arguments.networks:
        bench = Bench(name, torch.device(arguments.device), arguments.repeats)
        print(bench.describe(), flush=True)
        for title, make in inners(arguments.fused).items():
            print(f"  over {title}, {'fused' if arguments.fused else 'foreach'}")
            ratios = bench.steps(make)
            print(f"    {'a whole run':31} {bench.run_ratio(ratios):36.2f} x")
            print(f"    {'selection, once':31} {bench.selection_ms(make):8.2f} ms more", flush=True)
            if name in BATCHES:
                taken, ratio = bench.training_ratio(make)
                print(f"    {'a whole training step':31} {taken:8.2f} ms {ratio:24.3f} x", flush=True)


if __name__ == "__main__":
    main()
