"""What a step of ProxSGD, HAPG and AdamHAPG costs beside SGD and Adam of torch, and what they keep.

Prints milliseconds of this process for a step on the parameters of DemoNet and resnet18, medians of steps
taken in turn, the ratio to the plain optimizer, and the numbers kept for each parameter.

    python tests/bench/bench_sparse.py
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from torch.optim import Optimizer

sys.path.insert(0, str(Path(__file__).parents[2]))  # runs on a bare clone, too

import nasviz
from nasviz.optim import HAPG, AdamHAPG, ProxSGD
from nasviz.optim.groups import SpaceBinding
from nasviz.optim.prox import RowGrouping

ROUNDS = 15


def optimizers(name: str) -> dict[str, Callable[[], Optimizer]]:
    model, inputs = nasviz.zoo.create(name)
    net = nasviz.trace(model, inputs)
    parameters = dict(net.named_parameters())
    space = nasviz.search_space(net)
    groups = {s.id: [parameters[n] for n in s.parameter_names] for s in space.removable}
    index = SpaceBinding(net, space).channel_index()
    filters = RowGrouping(index, index.ids)
    everything = list(parameters.values())
    for parameter in everything:
        parameter.grad = torch.randn_like(parameter)
    return {
        "SGD": lambda: torch.optim.SGD(everything, lr=1e-6, momentum=0.9),
        "ProxSGD": lambda: ProxSGD(everything, groups, lr=1e-6, mu=1e-6),
        "ProxSGD, adaptive": lambda: ProxSGD(everything, groups, lr=1e-6, mu=1e-6, tau=None),
        "ProxSGD on filters": lambda: ProxSGD(everything, filters, lr=1e-6, mu=1e-6),
        "HAPG": lambda: HAPG(everything, groups, lr=1e-6, strength=1e-6, inertia_cap=0.9),
        "Adam": lambda: torch.optim.Adam(everything, lr=1e-6),
        "AdamHAPG": lambda: AdamHAPG(everything, groups, lr=1e-6, strength=1e-6, inertia_cap=0.9),
    }


def main() -> None:
    for name in ("demonet", "resnet18"):
        made = {title: make() for title, make in optimizers(name).items()}
        times: dict[str, list[float]] = {title: [] for title in made}
        for _ in range(ROUNDS):
            for title, optimizer in made.items():
                start = time.process_time()
                optimizer.step()
                times[title].append(1e3 * (time.process_time() - start))
        print(f"\n{name}")
        for title, optimizer in made.items():
            plain = "Adam" if title.startswith("Adam") else "SGD"
            kept = [v for state in optimizer.state.values() for v in state.values() if torch.is_tensor(v)]
            size = sum(p.numel() for group in optimizer.param_groups for p in group["params"])
            ratio = median(times[title]) / median(times[plain])
            share = sum(v.numel() for v in kept) / size
            print(f"  {title:20} {median(times[title]):8.2f} ms  {ratio:5.2f}x {plain:5} keeps {share:.1f}")


if __name__ == "__main__":
    main()
