"""The table of what pruning at the end of a search costs."""

from __future__ import annotations

import streamlit as st

from nasviz.runs import Run

__all__ = ["pruning_table"]


def pruning_table(run: Run) -> None:
    """Accuracy before pruning, and pruned at each threshold; nothing for a run that does not prune."""
    found = run.end.result.get("pruning") if run.end is not None else None
    if not found:
        return
    st.markdown("##### Pruning at the end of the search")
    total, is_share = found.get("groups"), found.get("kind") == "fraction"
    rows = [{"threshold": "before pruning", "groups gone": 0, "accuracy": found["accuracy"], "change": 0.0}]
    rows += [
        {
            "threshold": f"{row['threshold']:.0%}" if is_share else f"{row['threshold']:g}",
            "groups gone": row["pruned"],
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
            "change": st.column_config.NumberColumn("change, points", format="%+.2f"),
        },
    )
    of = f" of {total:,} groups" if total else ""
    if is_share:
        words = f"without the share of lowest scores{of}, before what is left is tuned."
    else:
        words = (
            f"before any training without the penalty{of}. Groups up to the threshold are set to zero; 1e-6,"
            " 1e-3 and 0.5 are those of GSparsity's table 2."
        )
    st.caption(f"On the validation images, {words}")
