"""Estimated size of the sub-network for a given K, over random selections."""

from __future__ import annotations

import streamlit as st

from nasviz.draw.labels import count
from nasviz.graph import SearchSpace
from nasviz.graph.budget import cost_band, random_orders
from nasviz.ui import session

__all__ = ["band"]

DRAWS = 8
LARGE = 1000
"""Number of operators above which fewer selections are drawn, so that the slider stays responsive."""


def band(space: SearchSpace, k: int) -> None:
    """Show the range of remaining parameters and MACs over random selections of K structures."""
    if k:
        st.caption(_words(session.key_of(space), k, space))


@st.cache_data(max_entries=200, show_spinner=False)
def _words(key: str, k: int, _space: SearchSpace) -> str:
    orders = random_orders(_space, 3 if len(_space.trace) > LARGE else DRAWS)
    params = cost_band(_space, k, "parameters", orders)
    macs = cost_band(_space, k, "macs", orders)
    return (
        f"Estimated size: {count(params.minimum)} to {count(params.maximum)} parameters and"
        f" {count(macs.minimum)} to {count(macs.maximum)} MACs, over {len(orders)} random valid selections."
    )
