"""Table of the accuracy after pruning at the end of a search."""

from __future__ import annotations

import streamlit as st

from nasviz.runs import Run

__all__ = ["pruning_table"]


def pruning_table(run: Run) -> None:
    """Show the accuracy before pruning and at each threshold, if the run prunes at its end."""
    found = run.end.result.get("pruning") if run.end is not None else None
    if not found:
        return
    st.markdown("##### Accuracy after pruning")
    total, is_share = found.get("groups"), found.get("kind") == "fraction"
    rows = [{"threshold": "before pruning", "pruned groups": 0, "accuracy": found["accuracy"], "change": 0.0}]
    rows += [
        {
            "threshold": f"{row['threshold']:.0%}" if is_share else f"{row['threshold']:g}",
            "pruned groups": row["pruned"],
            "accuracy": row["accuracy"],
            "change": (row["accuracy"] - found["accuracy"]) * 100,
        }
        for row in found["thresholds"]
    ]
    st.dataframe(
        rows,
        hide_index=True,
        column_config={
            "accuracy": st.column_config.NumberColumn(format="percent"),
            "change": st.column_config.NumberColumn("change (points)", format="%+.2f"),
        },
    )
    of = f" of {total:,} groups" if total else ""
    if is_share:
        words = f"without the given share of groups with the lowest scores{of}, before tuning."
    else:
        words = (
            f"before training without the penalty{of}. Groups up to the threshold are set to zero; 1e-6, 1e-3"
            " and 0.5 are the thresholds of GSparsity, table 2."
        )
    st.caption(f"Validation accuracy, {words}")
