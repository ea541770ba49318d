"""Results over seeds: runs that differ only in their seed form one cell with mean and standard deviation."""

from __future__ import annotations

import json
import math
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from nasviz.catalog import ACCURACY, Metric
from nasviz.runs.grid import Point
from nasviz.runs.listing import RunSummary
from nasviz.runs.sweep import STAGE, Sweep
from nasviz.settings import RunSettings

__all__ = ["METRICS", "Cell", "Spread", "cells", "differing_settings", "pareto_front", "spread"]

METRICS = (
    *("accuracy_subnet", "accuracy_full", "top5_subnet", "params_after", "macs_after", "survivors"),
    "search_seconds",
)
"""Entries of a run's final report that are aggregated."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean and standard deviation of a set of values."""

    mean: float
    std: float
    """Sample standard deviation (n - 1); NaN for a single value."""
    count: int


def spread(values: Iterable[float]) -> Spread | None:
    """Return mean and standard deviation, or None if `values` is empty.

    Examples:
        >>> spread([1.0, 2.0, 3.0])
        Spread(mean=2.0, std=1.0, count=3)
        >>> spread([4.0]).std
        nan
    """
    found = list(values)
    if not found:
        return None
    std = statistics.stdev(found) if len(found) > 1 else math.nan
    return Spread(statistics.fmean(found), std, len(found))


@dataclass(frozen=True, slots=True)
class Cell:
    """Runs of a sweep that differ only in their seed."""

    point: Point
    """Settings of the grid point, without the seed."""
    indices: tuple[int, ...]
    """Indices of the runs in the grid."""
    counts: Counter[str]
    """Number of runs by state; `waiting` counts those that have not started."""
    num_invalid: int
    """Number of finished runs without a sub-network, because the zeros disconnect the outputs."""
    num_stopped: int
    """Number of runs stopped by the median rule."""
    num_diverged: int
    """Number of finished runs whose training diverged."""
    metrics: Mapping[str, Spread]
    """Spread by name in `METRICS`, over the runs that have it. Invalid runs have no `accuracy_subnet`."""
    metric: Metric = ACCURACY
    """What the runs measure first, as their accuracy."""

    @property
    def num_runs(self) -> int:
        """Total number of runs."""
        return len(self.indices)

    @property
    def num_valid(self) -> int:
        """Number of finished runs with a sub-network."""
        return self.counts["done"] - self.num_invalid

    @property
    def is_over(self) -> bool:
        """True if all runs are done, failed, or stopped by the median rule."""
        return self.counts["done"] + self.counts["failed"] + self.num_stopped == self.num_runs


def cells(sweep: Sweep, summaries: Sequence[RunSummary | None] | None = None) -> tuple[Cell, ...]:
    """Return the cells of a sweep, in the order of its grid.

    Args:
        sweep: The sweep.
        summaries: Summaries of its runs; read from disk if None.
    """
    runs = sweep.summaries() if summaries is None else summaries
    members: dict[str, list[int]] = {}
    points = sweep.points[: len(runs)]  # a bisection may have grown since `runs` was read
    for index, point in enumerate(points):
        key = json.dumps({name: value for name, value in point.items() if name != "seed"}, sort_keys=True)
        members.setdefault(key, []).append(index)
    base = sweep.settings.base
    found = [_cell(points[indices[0]], indices, runs, base) for indices in members.values()]
    searches = [cell for cell in found if STAGE not in cell.point]
    return tuple(_with_search(cell, searches) if STAGE in cell.point else cell for cell in found)


def _with_search(cell: Cell, searches: Sequence[Cell]) -> Cell:
    """Return the cell of a second stage with the cost of the search whose result it trains."""
    point = {name: value for name, value in cell.point.items() if name != STAGE}
    search = next((other for other in searches if other.point == point), None)
    cost = search.metrics.get("search_seconds") if search else None
    metrics = {name: value for name, value in cell.metrics.items() if name != "search_seconds"}
    return replace(cell, metrics=metrics | ({} if cost is None else {"search_seconds": cost}))


def _cell(point: Point, indices: Sequence[int], runs: Sequence[RunSummary | None], base: RunSettings) -> Cell:
    found = [runs[index] for index in indices]
    results: list[Mapping[str, Any]] = [run.result for run in found if run is not None]
    metrics = {name: spread(float(r[name]) for r in results if r.get(name) is not None) for name in METRICS}
    return Cell(
        point={name: value for name, value in point.items() if name != "seed"},
        indices=tuple(indices),
        counts=Counter("waiting" if run is None else run.state for run in found),
        num_invalid=sum(run is not None and run.is_invalid for run in found),
        num_stopped=sum(run is not None and run.verdict is not None for run in found),
        num_diverged=sum(run is not None and run.diverged is not None for run in found),
        metrics={name: value for name, value in metrics.items() if value is not None},
        metric=next((run.settings for run in found if run and run.settings), base).metrics[0],
    )


def differing_settings(runs: Mapping[str, RunSettings]) -> dict[str, dict[str, Any]]:
    """Return the value in each run, by run id, of every setting that differs.

    The value is None if the method of a run does not have the setting.
    """
    documents = {run_id: settings.flat() for run_id, settings in runs.items()}
    if not documents:
        return {}
    names = dict.fromkeys(name for document in documents.values() for name in document)
    rows = {name: {run_id: document.get(name) for run_id, document in documents.items()} for name in names}
    return {name: row for name, row in rows.items() if len({repr(value) for value in row.values()}) > 1}


def pareto_front(costs: Sequence[float], gains: Sequence[float]) -> tuple[int, ...]:
    """Return the indices of the Pareto-optimal points, in ascending order of cost.

    A point is dominated if another one is at least as good in both and better in one. O(n log n). A point
    with a NaN is never on the front.

    Examples:
        >>> pareto_front(costs=[1.0, 2.0, 3.0, 2.5], gains=[0.80, 0.90, 0.85, 0.95])
        (0, 1, 3)
    """
    points = [(cost, -gain, index) for index, (cost, gain) in enumerate(zip(costs, gains, strict=True))]
    front: list[int] = []
    best: tuple[float, float] | None = None
    # NaN is the only value that differs from itself.
    for cost, negative_gain, index in sorted(p for p in points if p[0] == p[0] and p[1] == p[1]):
        is_better = best is None or negative_gain < best[1]
        if is_better or (cost, negative_gain) == best:
            front.append(index)
            best = (cost, negative_gain)
    return tuple(front)
