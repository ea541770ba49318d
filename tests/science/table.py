"""Results as a table in Markdown: mean and standard deviation over the seeds."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean, stdev
from typing import Any

__all__ = ["markdown", "rank_correlation"]

HEADER = ("network", "size", "selection", "K", "accuracy", "parameters", "MACs", "latency", "by size")


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """One line for each network, size and way of selecting."""
    lines = [f"| {' | '.join(HEADER)} |", f"|{' --- |' * len(HEADER)}"]
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["network"], row["size"], row["method"]), []).append(row)
    networks = list(dict.fromkeys(row["network"] for row in rows))
    sizes = list(dict.fromkeys(row["size"] for row in rows))
    order = sorted(
        groups, key=lambda g: (networks.index(g[0]), sizes.index(g[1]), -_mean(groups[g], "accuracy"))
    )
    own_sizes = {row["network"]: row["sizes"] for row in rows if "sizes" in row}
    for key in order:
        found = groups[key]
        accuracies = [100 * row["accuracy"] for row in found]
        deviation = f" ± {stdev(accuracies):.1f}" if len(found) > 1 else ""
        cells = (
            *key,
            f"{mean(len(row['selected']) for row in found):.3g}",
            f"{mean(accuracies):.1f}{deviation} ({len(found)})",
            f"{_mean(found, 'parameters'):,.0f}",
            f"{_mean(found, 'macs'):,.0f}",
            f"{_mean(found, 'latency_share'):.2f}",
            _by_size(found, own_sizes.get(key[0], {})),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _mean(rows: Sequence[dict[str, Any]], key: str) -> float:
    return mean(row[key] for row in rows)


def _by_size(rows: Sequence[dict[str, Any]], sizes: dict[str, int]) -> str:
    """How far the scores only order the structures by size: -1, the largest go first; 1, the smallest."""
    scored = [row["scores"] for row in rows if "scores" in row]
    if not scored or not sizes:
        return ""
    found = [rank_correlation([s[i] for i in sizes], list(sizes.values())) for s in scored]
    return f"{mean(found):+.2f}"


def rank_correlation(one: Sequence[float], other: Sequence[float]) -> float:
    """Spearman's rank correlation; ties share their mean rank."""
    left, right = _ranks(one), _ranks(other)
    centre = (len(left) - 1) / 2
    left, right = [rank - centre for rank in left], [rank - centre for rank in right]
    norm = (sum(x * x for x in left) * sum(y * y for y in right)) ** 0.5
    return sum(x * y for x, y in zip(left, right, strict=True)) / norm if norm else 0.0


def _ranks(values: Sequence[float]) -> list[float]:
    order = sorted(values)
    return [order.index(value) + (order.count(value) - 1) / 2 for value in values]
