"""The start page: a short introduction with a graph."""

from __future__ import annotations

import streamlit as st

from nasviz.ui import frame, session
from nasviz.ui.parts import graphs
from nasviz.ui.parts.escaping import inert

__all__ = ["greet"]


@frame.handle_errors
def greet() -> None:
    """Introduce the app, with the graph of the current network."""
    st.title("Find the sub-network in your network")
    words, picture = st.columns([1, 1.5], gap="large")
    with words:
        st.markdown(
            "**nasviz** traces any PyTorch network, finds its removable structures, trains it until K of them"
            " are exactly zero, and removes them.\n\n"
            "The resulting sub-network computes the same outputs with fewer parameters and operations."
        )
        steps = ("Model", "Segment graph", "Search and train", "Sub-network", "Export")
        for number, title in enumerate(steps, 1):
            frame.link(title, f"{number}. {frame.PAGES[title].invitation}")
    with picture:
        space = session.space()
        name = inert(session.title())
        st.caption(f"{name}: green segments are removable, at most {space.max_sparsity} of them together.")
        graphs.picture(graphs.segments_of(session.key_of(space), space), key="start-graph")
