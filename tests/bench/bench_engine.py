"""Time of trace, search space, selection and construction, as ratios to one plain `torch.export`.

    python tests/bench/bench_engine.py [NAME ...]

One thread, processor time (other processes on the machine count for nothing), the least of several runs.
Half of the structures that may go together are erased, by random scores. Last, selection among a thousand
structures, in seconds; its network is traced once and timed at nothing else. The last column is the time in
which Torch-Pruning builds its dependency graph (it does not compare anything, nor rewrite the graph); it is
part of `nasviz[dev]`.
"""

from __future__ import annotations

import random
import signal
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import torch
import torchvision
from torch.export import Dim, export

import nasviz
from nasviz.graph import SearchSpace, search_space

sys.path.insert(0, str(Path(__file__).parents[2]))  # tests are a package of the checkout
from tests.bench.darts_like import DartsLike

NAMES = [
    "resnet50",
    "densenet121",
    "convnext_tiny",
    "vit_b_16",
    "swin_t",
    "regnet_y_800mf",
    "darts_like",
    "thousand",
]
COLUMNS = ("trace", "space", "select", "construct", "peer")
PEER_LIMIT_S = 60


def seconds(call: Callable[[], object], repeats: int = 3) -> float:
    """The least processor time of several calls."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return min(times)


def create(name: str) -> tuple[torch.nn.Module, torch.Tensor]:
    """A network with an example of what it takes."""
    torch.manual_seed(0)
    if name == "darts_like":
        return DartsLike(), torch.randn(2, 3, 8, 8)
    return torchvision.models.get_model(name, weights=None), torch.randn(2, 3, 224, 224)


def _stop(number: int, frame: FrameType | None) -> None:
    raise TimeoutError


def peer(model: torch.nn.Module, x: torch.Tensor, plain: float) -> str:
    """Torch-Pruning's dependency graph by the same measure, or why there is none."""
    try:
        import torch_pruning
    except ImportError:
        return "not installed"
    signal.signal(signal.SIGALRM, _stop)
    signal.alarm(PEER_LIMIT_S)
    try:
        took = seconds(lambda: torch_pruning.DependencyGraph().build_dependency(model, x), 1)
        return f"{took / plain:.3f}"
    except TimeoutError:
        return f"more than {PEER_LIMIT_S} s"
    except Exception as error:  # a peer may fail in any way; the name says how
        return f"cannot ({type(error).__name__})"
    finally:
        signal.alarm(0)


def built(net: torch.nn.Module) -> SearchSpace:
    """A search space with everything computed that selection needs."""
    space = search_space(net)
    _ = space.structures, space.max_sparsity
    return space


def row(name: str) -> str:
    """One line of the table."""
    model, x = create(name)
    repeats = 1 if name == "darts_like" else 2
    shapes = ({0: Dim("batch")},)
    plain = seconds(lambda: export(model.train(), (x,), dynamic_shapes=shapes), repeats)
    net = nasviz.trace(
        model, x
    )  # once before the clock runs: what torch loads on the first use counts for none
    trace = seconds(lambda: nasviz.trace(model, x), repeats)
    space = built(net)
    draw = random.Random(0)
    saliency = {s.id: draw.random() for s in space.removable}
    k = space.max_sparsity // 2
    select = seconds(lambda: space.select(saliency, k))
    chosen = space.select(saliency, k)
    times = [trace, seconds(lambda: built(net)), select]
    times.append(seconds(lambda: nasviz.construct(net, space, chosen), repeats))
    ratios = "".join(f"{t / plain:>11.3f}" for t in times)
    sizes = f"{len(net.trace_graph):>9}{len(space.removable):>11}{plain:>9.2f} s"
    return (
        f"{name:<16}{sizes}{ratios}   {peer(model.eval(), x, plain)}\n{'':<16}{select:>9.3f} s to select {k}"
    )


def thousand() -> str:
    """Selection in a network of a thousand structures, half of those that may go together."""
    space = built(nasviz.trace(DartsLike(cells=143), torch.randn(2, 3, 8, 8)))
    draw = random.Random(0)
    saliency = {s.id: draw.random() for s in space.removable}
    k = space.max_sparsity // 2
    took = seconds(lambda: space.select(saliency, k))
    return f"{len(space.removable)} structures: {took:.3f} s to select {k}"


def main() -> None:
    """Print the table."""
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    print(f"{'network':<16}{'vertices':>9}{'structures':>11}{'export':>11}", end="")
    print("".join(f"{column:>11}" for column in COLUMNS))
    for name in sys.argv[1:] or NAMES:
        print(row(name) if name != "thousand" else thousand(), flush=True)


if __name__ == "__main__":
    main()
