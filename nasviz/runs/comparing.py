"""Comparison of runs: differing settings, and the Pareto front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nasviz.settings import RunSettings

__all__ = ["differing_settings", "pareto_front"]


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
