"""Initial saliency scores of the structures, computed on one batch and cached for the session."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from nasviz import jobs
from nasviz.catalog import SALIENCIES, NetworkSource
from nasviz.graph import SearchSpace
from nasviz.graph.space import protection_text
from nasviz.ui import session
from nasviz.ui.parts import controls, work
from nasviz.ui.parts.escaping import inert

__all__ = ["choose", "scored"]

SMALL_MACS = 400_000_000
"""Cost up to which networks are scored on digits automatically, which takes about a second."""
BATCH_SIZE = 32


def scored(
    source: NetworkSource,
    space: SearchSpace,
    saliency: str,
    *,
    data: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> dict[int, float] | None:
    """Return the score of every removal structure on one batch; None while it is not available.

    Args:
        source: The network.
        space: Its search space, with the constraints.
        saliency: Name of a saliency of the catalog.
        data: Source of the batch: `data`, `data_folder` and `trust` as in run settings; digits by default.
        seed: Seed of the batch and of random scores.
    """
    cache = session.current().jobs
    protect = tuple(map(protection_text, space.protect))
    place = dict(data or {"data": "digits"})
    name, folder, trust = place["data"], place.get("data_folder"), place.get("trust", ())
    asked = f"preview {source} {name} {folder}"
    key = f"{asked} {saliency} {seed} {protect} {space.collapse} {space.frozen}"
    if key not in cache:
        is_small = space.trace.macs <= SMALL_MACS and name == "digits"
        is_known = any(other.startswith(f"{asked} ") for other in cache)  # confirmed once per data set
        if not (is_small or is_known) and not st.button(
            "Compute scores", icon=":material/calculate:", key=f"score.{key}"
        ):
            return None
        cache[key] = jobs.submit(
            jobs.Preview(
                source=source,
                data=name,
                saliency=saliency,
                seed=seed,
                batch_size=BATCH_SIZE,
                data_folder=folder,
                trust=trust,
                protect=protect,
                collapse=space.collapse,
                frozen=space.frozen,
            )
        )
    result = work.shown(key, f"Scoring by {SALIENCIES[saliency].title}", cache=cache)
    return None if result is None else dict(result.scores)


def choose(key: str, default: str) -> str:
    """Let the user choose a saliency, with its summary and limitations."""
    known = controls.kept(key, default)
    names = list(SALIENCIES)
    name = st.selectbox(
        "Saliency score",
        names,
        names.index(known) if known in names else 0,
        format_func=lambda name: SALIENCIES[name].title,
        key=f"{key}.{default}",
        help="Smaller is more redundant. The first seven are available for training; the others need a copy"
        " of the network.",
    )
    if name != default or known != default:
        controls.keep(key, name)
    entry = SALIENCIES[name]
    st.caption(entry.summary, help=f"{inert(entry.formula)}\n\n{entry.caution}")
    return str(name)
