"""Scores of the structures before any training, by any saliency; asked for once, kept for the visit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from nasviz import jobs
from nasviz.catalog import SALIENCIES, NetworkSource
from nasviz.graph import SearchSpace
from nasviz.graph.protection import protection_text
from nasviz.ui import controls, session, work
from nasviz.ui.words import inert

__all__ = ["choose", "scored"]

SMALL_MACS = 400_000_000
"""Networks up to this cost are scored on digits without being asked to: it takes a second."""
BATCH_SIZE = 32


def scored(
    source: NetworkSource,
    space: SearchSpace,
    saliency: str,
    *,
    data: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> dict[int, float] | None:
    """The score of every removal structure on one batch; None, after showing why, as long as there is none.

    Args:
        source: The network, with random weights or those that it brings.
        space: Its search space, with what is protected and collapsed.
        saliency: A name of the catalog.
        data: Where the batch comes from: `data`, `data_folder` and `trust` of a run; digits when left out.
        seed: Of the batch, and of scores that draw numbers.
    """
    cache = session.current().jobs
    protect = list(map(protection_text, space.protect))
    place = dict(data or {"data": "digits"})
    name, folder, trust = place["data"], place.get("data_folder"), place.get("trust", ())
    asked = f"preview {source} {name} {folder}"
    key = f"{asked} {saliency} {seed} {protect} {space.collapse}"
    if key not in cache:
        is_small = space.trace.macs <= SMALL_MACS and name == "digits"
        is_known = any(other.startswith(f"{asked} ") for other in cache)  # asked once, shown from then on
        if not (is_small or is_known) and not st.button(
            "Score the structures now", icon=":material/calculate:", key=f"score.{key}"
        ):
            return None
        cache[key] = jobs.preview(
            source,
            name,
            saliency=saliency,
            seed=seed,
            batch_size=BATCH_SIZE,
            data_folder=folder,
            trust=trust,
            protect=protect,
            collapse=space.collapse,
        )
    result = work.shown(key, f"Scoring by {SALIENCIES[saliency].title}", cache=cache)
    return None if result is None else {int(i): float(score) for i, score in result["scores"]}


def choose(key: str, default: str) -> str:
    """A choice among all saliencies, with what the chosen one sees, and what it cannot see."""
    known = controls.kept(key, default)
    names = list(SALIENCIES)
    name = st.selectbox(
        "Scored by",
        names,
        names.index(known) if known in names else 0,
        format_func=lambda name: SALIENCIES[name].title,
        key=f"{key}.{default}",
        help="Smaller is more redundant. Training can use the first seven; the others look at a copy.",
    )
    if name != default or known != default:
        controls.keep(key, name)
    entry = SALIENCIES[name]
    st.caption(entry.summary, help=f"{inert(entry.formula)}\n\n{entry.caution}")
    return str(name)
