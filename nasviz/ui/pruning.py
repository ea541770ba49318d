"""What belongs to searches that prune: ties, stronger penalties, and the table of the pruning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from nasviz.runs import Run
from nasviz.ui.controls import keep, kept

__all__ = ["ask_places", "pruning_table"]


def ask_places(values: Mapping[str, Any]) -> dict[str, Any]:
    """Where operations are tied, or where the penalty on filters is stronger; as settings of a run."""
    if values.get("groups") == "operations":
        return {"cells": _names("cells", "Cells whose operations are tied", "Cell", CELLS_HELP)}
    return {"emphasis": _names("emphasis", "Stronger penalty in", "layer2=2, layer3=2", EMPHASIS_HELP)}


CELLS_HELP = (
    "Classes, or patterns of paths: the same operation in all cells of one class is one group, and lives or"
    " dies as one."
)
EMPHASIS_HELP = (
    "Modules, by class or pattern of paths, with the number that the penalty on their filters is multiplied"
    " by; published for ResNet-50: layer2=2, layer3=2."
)


def _names(key: str, title: str, example: str, words: str) -> tuple[str, ...]:
    text = st.text_input(
        title, kept(f"gsparsity.{key}", ""), placeholder=example, help=words, key=f"gsparsity.{key}"
    )
    keep(f"gsparsity.{key}", text)
    return tuple(part.strip() for part in text.split(",") if part.strip())


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
