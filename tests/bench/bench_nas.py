"""What a step of each relaxed method costs beside a plain training step, and how much more memory it takes.

Prints milliseconds of the fastest step (of this process, on a processor), the ratio to forward, backward and
SGD on one batch, numbers kept for each parameter, and the peak that a step allocates beyond what is kept
between steps. Every relaxed step takes two batches.

    python tests/bench/bench_nas.py [--device cuda] [--threads 1]
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

sys.path.insert(0, str(Path(__file__).parents[2]))  # runs on a bare clone, too

import nasviz
from nasviz.graph import SearchSpace
from nasviz.nas import RelaxedOptimizer, create, create_width, with_architecture
from nasviz.trace import TracedNetwork

METHODS = {
    "darts, first order": ("darts", {"order": "first"}),
    "darts, second order": ("darts", {"order": "second"}),
    "milenas": ("milenas", {}),
    "rarts": ("rarts", {}),
    "sparsenas, first order": ("sparsenas", {"order": "first"}),
    "rarts width search": ("width", {}),
}
NETWORKS = {"demonet": (1, 28), "resnet18": (3, 32)}


def fastest(step: Callable[[], object], device: torch.device, repeats: int) -> float:
    """Milliseconds of the fastest step."""
    is_cuda = device.type == "cuda"
    clock = time.perf_counter if is_cuda else time.process_time  # others may be at work here
    best = float("inf")
    for repeat in range(repeats + 2):
        if is_cuda:
            torch.cuda.synchronize()
        start = clock()
        step()
        if is_cuda:
            torch.cuda.synchronize()
        if repeat >= 2:
            best = min(best, 1e3 * (clock() - start))
    return best


def peak_mb(step: Callable[[], object], device: torch.device) -> float:
    """MiB that a step allocates at its peak, beyond what was there when it began."""
    if device.type == "cuda":
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        step()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        step()
    events = [e for e in profiled.profiler.kineto_results.events() if e.name() == "[memory]"]
    sizes = [e.nbytes() for e in sorted(events, key=lambda event: event.start_ns())]
    return max(itertools.accumulate(sizes)) / 2**20


def closures(net: nn.Module, x: Tensor, y: Tensor) -> tuple[Callable[[], Tensor], Callable[[], Tensor]]:
    def loss() -> Tensor:
        return nn.functional.cross_entropy(net(x), y)

    return loss, loss


def measure(name: str, channels: int, size: int, batch: int, repeats: int, device: torch.device) -> None:
    x = torch.randn(batch, channels, size, size, device=device)
    y = torch.randint(10, (batch,), device=device)
    model, example = nasviz.zoo.create(name, input_shape=(channels, size, size), num_classes=10)
    traced = nasviz.trace(model, *example)
    space = nasviz.search_space(traced)
    traced.to(device).train()
    sgd = torch.optim.SGD(traced.parameters(), lr=1e-4, momentum=0.9)

    def plain() -> None:
        nn.functional.cross_entropy(traced(x), y).backward()
        sgd.step()
        sgd.zero_grad()

    alone, least = fastest(plain, device, repeats), peak_mb(plain, device)
    print(f"{name}, batch {batch}: plain step {alone:.1f} ms, allocates {least:.1f} MiB")
    for title, (method, settings) in METHODS.items():
        optimizer, net = made(method, traced, space, settings)
        net.to(device).train()
        train, validation = closures(net, x, y)

        def step(optimizer: Any = optimizer, closures: Any = (train, validation)) -> None:
            optimizer.step(*closures)

        taken = fastest(step, device, repeats)
        print(
            f"  {title:24} {taken:8.1f} ms  {taken / alone:5.2f} x  keeps {kept(optimizer):.1f},"
            f" allocates {peak_mb(step, device) / least:.2f} x"
        )


def made(
    method: str, traced: TracedNetwork, space: SearchSpace, settings: dict[str, Any]
) -> tuple[RelaxedOptimizer, nn.Module]:
    """A method on the network, or on a copy of its graph with switches."""
    if method == "width":
        return create_width(traced, space, projection_steps=1000, lr=1e-4, momentum=0.9), traced
    kind = "plain" if method == "sparsenas" else "softmax"
    net, switched = with_architecture(traced, space, kind=kind)
    return create(method, net, switched, lr=1e-4, momentum=0.9, **settings), net


def kept(optimizer: RelaxedOptimizer) -> float:
    """Numbers kept for each weight: what optimizers keep, and copies of the weights."""
    states = [*optimizer.inner.state.values(), *optimizer.architecture.state.values()]
    tensors = [v for state in states for v in state.values() if torch.is_tensor(v)]
    tensors += [w for copy in optimizer._copies() for w in copy.weights]
    return sum(t.numel() for t in tensors) / sum(w.numel() for w in optimizer.weights)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    print(f"{arguments.device}, torch {torch.__version__}")
    for name, (channels, size) in NETWORKS.items():
        measure(name, channels, size, arguments.batch, arguments.repeats, torch.device(arguments.device))


if __name__ == "__main__":
    main()
