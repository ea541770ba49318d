"""How large the sub-network may become for a K: over random choices, before anything has been scored."""

from __future__ import annotations

import streamlit as st

from nasviz.draw.labels import count
from nasviz.graph import SearchSpace
from nasviz.graph.budget import cost_band, random_orders
from nasviz.ui import session

__all__ = ["band"]

DRAWS = 8
LARGE = 1000
"""Operators from which on a plan takes too long for a slider: fewer choices are drawn then."""


def band(space: SearchSpace, k: int) -> None:
    """What is left of parameters and multiply-accumulates, from the smallest to the largest choice drawn."""
    if k:
        st.caption(_words(session.key_of(space), k, space))


@st.cache_data(max_entries=200, show_spinner=False)
def _words(key: str, k: int, _space: SearchSpace) -> str:
    orders = random_orders(_space, 3 if len(_space.trace) > LARGE else DRAWS)
    params = cost_band(_space, k, "parameters", orders)
    macs = cost_band(_space, k, "macs", orders)
    return (
        f"Depending on which ones go, {count(params.minimum)} to {count(params.maximum)} parameters and"
        f" {count(macs.minimum)} to {count(macs.maximum)} MACs are left, over {len(orders)} valid choices"
        " drawn at random."
    )
