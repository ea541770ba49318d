"""What H2SPG costs beside its inner optimizer, phase by phase.

Prints milliseconds of one step and the ratio to a step of the inner optimizer alone. No network is run: the
gradients are there, so that nothing but the optimizers is timed.

    python tests/bench/bench_optimizer.py [--device cuda] [--threads 1]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[2]))  # runs on a bare clone, too

from nasviz.optim import H2SPG, H2SPGOTOv3, Rows, Selection, TensorGroup

INNERS: dict[str, Callable[[list[Tensor]], torch.optim.Optimizer]] = {
    "sgd momentum": lambda p: torch.optim.SGD(p, lr=1e-3, momentum=0.9, weight_decay=5e-4),
    "adamw": lambda p: torch.optim.AdamW(p, lr=1e-3),
}
NETWORKS = {
    "500 structures, 5,000 small tensors (5 M)": (500, 10, 1000),
    "16 structures, 160 large tensors (24 M)": (16, 10, 150_000),
}
LONG = 10**6
"""Steps of a phase that shall not end while it is timed."""


PHASES: dict[str, tuple[type[H2SPG] | type[H2SPGOTOv3], dict[str, object]]] = {
    "warm-up, not scored": (H2SPG, {"warmup_steps": LONG, "score_every": LONG}),
    "warm-up, taylor scored": (H2SPG, {"warmup_steps": LONG}),
    "warm-up, documents scored": (H2SPG, {"warmup_steps": LONG, "saliency": "documents"}),
    "projection, both": (H2SPG, {}),
    "projection, progressive": (H2SPG, {"projection": "progressive"}),
    "projection, OTOv3": (H2SPGOTOv3, {}),
    "training, half at zero": (H2SPG, {"projection_steps": 1}),
}


def fastest(
    steps: tuple[Callable[[], None], ...], sync: Callable[[], None], repeats: int
) -> tuple[float, ...]:
    """Milliseconds of the fastest step of each kind, taken in turn, so that other work hits all alike."""
    best = [float("inf")] * len(steps)
    for _ in range(repeats):
        for i, step in enumerate(steps):
            sync()
            start = time.perf_counter()
            step()
            sync()
            best[i] = min(best[i], 1e3 * (time.perf_counter() - start))
    return tuple(best)


def parameters(device: torch.device, num: int, size: int) -> list[Tensor]:
    tensors = [torch.randn(size, device=device, requires_grad=True) for _ in range(num)]
    for tensor in tensors:
        tensor.grad = torch.randn_like(tensor) * 1e-3
    return tensors


def measure(device: torch.device, repeats: int, num_structures: int, per_structure: int, size: int) -> None:
    sync = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    half = torch.arange(size // 2)
    chosen = tuple(range(0, num_structures, 2))
    for name, make in INNERS.items():
        for phase, (kind, settings) in PHASES.items():
            tensors = parameters(device, num_structures * per_structure, size)
            norms = parameters(device, num_structures, size)
            owned = zip(*[iter(tensors)] * per_structure, strict=True)
            groups = {i: TensorGroup(tuple(own)) for i, own in enumerate(owned)}
            members = {i: TensorGroup(groups[i].tensors, (Rows(norms[i], 0, half),)) for i in chosen}
            selection = Selection(chosen, members=members)
            optimizer = kind(
                make([*tensors, *norms]),
                groups,
                lambda scores, selection=selection: selection,
                **{"warmup_steps": 1, "projection_steps": LONG} | settings,
            )
            others = parameters(device, num_structures * (per_structure + 1), size)
            inner = make(others)
            for _ in range(2):  # past the single step of the shortest phases
                inner.step()
                optimizer.step()
            alone, taken = fastest((inner.step, optimizer.step), sync, repeats)
            print(f"  {name:14} {phase:27} {taken:8.2f} ms, inner {alone:8.2f} ms  {taken / alone:5.2f} x")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=9)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    for title, sizes in NETWORKS.items():
        print(f"{title}, {arguments.device}, torch {torch.__version__}")
        measure(torch.device(arguments.device), arguments.repeats, *sizes)


if __name__ == "__main__":
    main()
