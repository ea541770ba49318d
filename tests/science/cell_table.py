"""The comparison of cells as a table in Markdown: mean and standard deviation over the seeds."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean, stdev
from typing import Any

__all__ = ["markdown"]

HEADER = (
    "| method | parameters | operations | share of skips | accuracy of the search | trained anew |\n"
    "| --- | --- | --- | --- | --- | --- |\n"
)


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """One line for each method, in the order in which they first come; and what pruning cost GSparsity."""
    methods = list(dict.fromkeys(row["method"] for row in rows))
    lines = [_line(name, [row for row in rows if row["method"] == name]) for name in methods]
    pruned = [row for row in rows if "pruned_at" in row]
    return HEADER + "\n".join(lines) + "\n" + _pruning(pruned)


def _line(name: str, rows: Sequence[dict[str, Any]]) -> str:
    counts = [sum(row["kept"].values()) for row in rows if "kept" in row]
    parts = (
        _spread([row["parameters"] for row in rows if "parameters" in row], "{:,.0f}"),
        _spread(counts, "{:.1f}"),
        _spread([100 * row["share_of_skips"] for row in rows if "share_of_skips" in row], "{:.0f} %"),
        _spread([100 * row["accuracy_searched"] for row in rows if "accuracy_searched" in row], "{:.1f}"),
        _spread([100 * row["accuracy"] for row in rows if "accuracy" in row], "{:.1f}"),
    )
    return f"| {name} | " + " | ".join(parts) + " |"


def _spread(values: Sequence[float], form: str) -> str:
    if not values:
        return "-"
    middle = form.format(mean(values))
    return middle if len(values) < 2 else f"{middle} ± {form.format(stdev(values))}"


def _pruning(rows: Sequence[dict[str, Any]]) -> str:
    """Points of accuracy that pruning moved at each threshold, the largest over the seeds; the survivors."""
    if not rows:
        return ""
    lines = ["", "| mu | survivors by seed | at 1e-6 | at 1e-3 | at 0.5 |", "| --- | --- | --- | --- | --- |"]
    for mu in sorted({row["mu"] for row in rows}):
        own = [row for row in rows if row["mu"] == mu]
        moved = []
        for threshold in ("1e-06", "0.001", "0.5"):
            drops = [100 * (r["pruned_at"][threshold]["accuracy"] - r["accuracy_searched"]) for r in own]
            moved.append(f"{max(drops, key=abs):+.1f}")
        survivors = ", ".join(str(row["survivors"]) for row in own)
        lines.append(f"| {mu:g} | {survivors} of {own[0]['groups']} | " + " | ".join(moved) + " |")
    return "\n".join(lines) + "\n"
