"""The start page: what this is, in three sentences and one picture."""

from __future__ import annotations

import streamlit as st

from nasviz.ui import frame, graphs, session
from nasviz.ui.words import inert

__all__ = ["greet"]


@frame.tell_errors
def greet() -> None:
    """Say what can be done here, with the current network for a picture."""
    st.title("What could your network lose?")
    words, picture = st.columns([1, 1.5], gap="large")
    with words:
        st.markdown(
            "**nasviz** traces any PyTorch network, finds the parts of it that could be erased as a whole,"
            " trains it until K of them are exactly zero, and cuts them out.\n\n"
            "What is left computes the same, number for number, with fewer parameters and less work."
        )
        steps = ("Model", "Segment graph", "Search and train", "Sub-network", "Export")
        for number, title in enumerate(steps, 1):
            frame.link(title, f"{number}. {frame.PAGES[title].invitation}")
    with picture:
        space = session.space()
        name = inert(session.title())
        st.caption(f"{name}: green segments could go, at most {space.max_sparsity} of them together.")
        graphs.picture(graphs.segments_of(session.key_of(space), space), key="start-graph")
