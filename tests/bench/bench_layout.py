"""How long drawings take, cold and cached: `python -m tests.bench.bench_layout`. Prints, asserts nothing."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from nasviz.draw import GraphView, cell_view, dependency_view, segment_view, trace_view
from nasviz.draw.layout_cache import LayoutCache
from nasviz.graph import TraceGraph, search_space
from tests.bench.cells import cells
from tests.draw.networks import staged


def main() -> None:
    """One line a drawing."""
    sys.stdout.write(f"{'drawing':44}{'vertices':>9}{'edges':>7}{'cold s':>8}{'cached s':>9}{'data kB':>9}\n")
    resnet = staged(stages=4, blocks=8)
    darts = cells()
    cases: dict[str, Callable[[LayoutCache], GraphView]] = {}
    for trace in (resnet, darts, cells(28)):
        cases |= _cases(trace)
    one = {"cells", "cells.3", *(m for m in darts.modules if m.startswith("cells.3."))}
    cases[f"{darts.name}, one cell open"] = lambda cache: trace_view(darts, one, cache=cache)
    cases[f"{darts.name}, a cell by itself"] = lambda cache: cell_view(darts, "cells.3", cache=cache)
    for name, make in cases.items():
        with tempfile.TemporaryDirectory() as folder:
            cache = LayoutCache(Path(folder))
            view, cold = _timed(make, cache)
            _, cached = _timed(make, cache)
        size = len(json.dumps(view.payload())) / 1e3
        row = f"{len(view.drawing):9}{len(view.drawing.edges):7}{cold:8.2f}{cached:9.2f}{size:9.0f}"
        sys.stdout.write(f"{name:44}{row} {view.note}\n")


def _cases(trace: TraceGraph) -> dict[str, Callable[[LayoutCache], GraphView]]:
    space = search_space(trace)
    return {
        f"{trace.name}, as it opens": lambda cache: trace_view(trace, space=space, cache=cache),
        f"{trace.name}, all operators": lambda c: trace_view(trace, trace.modules, space=space, cache=c),
        f"{trace.name}, segments": lambda cache: segment_view(space, cache=cache),
        f"{trace.name}, dependencies": lambda cache: dependency_view(space, cache=cache),
    }


def _timed(make: Callable[[LayoutCache], GraphView], cache: LayoutCache) -> tuple[GraphView, float]:
    start = time.perf_counter()
    view = make(cache)
    return view, time.perf_counter() - start


if __name__ == "__main__":
    main()
