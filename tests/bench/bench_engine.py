"""Time of trace, search space, selection and construction, as ratios to one plain `torch.export`.

    python tests/bench/bench_engine.py [NAME ...]

Torch-Pruning's dependency graph stands beside, where it is installed and can build one. A last row takes a
DARTS-like graph of 5,000 vertices through the light wing alone.
"""

from __future__ import annotations

import random
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
import torchvision
from torch.export import Dim, export

import nasviz
from nasviz.graph import SearchSpace, search_space

sys.path.insert(0, str(Path(__file__).parents[2]))  # tests are a package of the checkout
from tests.graph.networks import Sketch

NAMES = ["resnet50", "densenet121", "convnext_tiny", "vit_b_16", "swin_t", "regnet_y_800mf"]


def seconds(call: Callable[[], object], repeats: int = 3) -> float:
    """The least time of several calls."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def peer(model: torch.nn.Module, x: torch.Tensor) -> str:
    """Time of Torch-Pruning's dependency graph, or why there is none."""
    try:
        import torch_pruning
    except ImportError:
        return "not installed"
    try:
        return f"{seconds(lambda: torch_pruning.DependencyGraph().build_dependency(model, x), 1):.2f} s"
    except Exception as error:  # a peer may fail in any way; the name says how
        return f"fails ({type(error).__name__})"


def row(name: str) -> str:
    """One line of the table."""
    model = torchvision.models.get_model(name, weights=None)
    x = torch.randn(2, 3, 224, 224)
    plain = seconds(lambda: export(model.train(), (x,), dynamic_shapes=({0: Dim("batch")},)), 2)
    trace = seconds(lambda: nasviz.trace(model, x), 2)
    net = nasviz.trace(model, x)

    def build() -> SearchSpace:
        space = search_space(net)
        _ = space.structures, space.max_sparsity
        return space

    space = build()
    draw = random.Random(0)
    saliency = {s.id: draw.random() for s in space.removable}
    k = space.max_sparsity // 2
    chosen = space.select(saliency, k)
    times = [
        trace,
        seconds(build),
        seconds(lambda: space.select(saliency, k)),
        seconds(lambda: nasviz.construct(net, space, chosen), 2),
    ]
    ratios = "".join(f"{t / plain:>12.3f}" for t in times)
    return f"{name:<18}{len(net.trace_graph):>9}{plain:>9.2f} s{ratios}   {peer(model.eval(), x)}"


def large(cells: int = 330) -> str:
    """A DARTS-like chain of cells with three branches each, about 5,000 vertices."""
    s = Sketch("cells")
    source = s.conv("stem", "x", 4)
    for cell in range(cells):
        branches = []
        for branch in range(3):
            name = f"{cell}_{branch}"
            branches.append(
                s.norm(f"norm{name}", s.conv(f"conv{name}", s.keep(f"relu{name}", "relu", source), 4))
            )
        joined = s.norm(f"mid{cell}", s.joint(f"cat{cell}", "cat", *branches))
        source = s.keep(f"last{cell}", "relu", s.conv(f"mix{cell}", joined, 4, 1))
    trace = s.done(s.head(source))
    space = search_space(trace)
    built = seconds(lambda: search_space(trace).max_sparsity, 1)
    draw = random.Random(0)
    saliency = {structure.id: draw.random() for structure in space.removable}
    half = seconds(lambda: space.select(saliency, space.max_sparsity // 2), 1)
    full = seconds(lambda: space.select(saliency, space.max_sparsity), 1)
    erased = space.select(saliency, space.max_sparsity)
    planned = seconds(lambda: space.plan(erased), 1)
    return (
        f"{len(trace)} vertices, {len(space.removable)} structures: space {built:.2f} s,"
        f" select K_max/2 {half:.2f} s, K_max {full:.2f} s, plan {planned:.2f} s"
    )


def main() -> None:
    """Print the table."""
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    columns = ["trace", "space", "select", "construct"]
    print(f"{'network':<18}{'vertices':>9}{'export':>11}" + "".join(f"{c:>12}" for c in columns) + "   peer")
    for name in sys.argv[1:] or NAMES:
        print(row(name), flush=True)
    print(large())


if __name__ == "__main__":
    main()
