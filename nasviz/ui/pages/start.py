"""The start page: a short introduction with a graph."""

from __future__ import annotations

import streamlit as st

from nasviz.catalog import NetworkSource
from nasviz.draw.thumbnail import stages
from nasviz.graph import SearchSpace
from nasviz.ui import frame, session
from nasviz.ui.parts import graphs, zoo
from nasviz.ui.parts.escaping import inert

__all__ = ["greet"]


@frame.Page(
    "Start",
    0,
    icon=":material/home:",
    invitation="Overview",
)
def greet() -> None:
    """Introduce the app, with the graph of the current network."""
    st.title("Find the sub-network in your network")
    top = st.container()  # filled last: the words below need no network
    words, picture = st.columns([1, 1.5], gap="large")
    with words:
        st.markdown(
            "**nasviz** traces any PyTorch network, finds its removable structures, trains it until K of them"
            " are exactly zero, and removes them.\n\n"
            "The resulting sub-network computes the same outputs with fewer parameters and operations."
        )
        steps = ("Model", "Segment graph", "Search and train", "Sub-network", "Export")
        for number, title in enumerate(steps, 1):
            frame.link(title, f"{number}. {frame.pages()[title].invitation}")
    with picture:
        space = session.space()
        with top:
            _overview(space)
        name = inert(session.title())
        st.caption(f"{name}: green segments are removable, at most {space.max_sparsity} of them together.")
        graphs.picture(graphs.segments_of(session.key_of(space), space), key="start-graph")


def _overview(space: SearchSpace) -> None:
    """Show the stages from the current network to a sub-network."""
    if not space.max_sparsity:
        return
    key = session.key_of(space)
    operators, segments = graphs.trace_of(key, None, space), graphs.segments_of(key, space)
    if not (operators.svg and segments.svg):  # the graph below says why
        return
    found = stages(space, _erased(space), operators, segments)
    for number, (column, (title, text, svg)) in enumerate(zip(st.columns(3), found, strict=True), 1):
        with column:
            st.markdown(f"**{number}. {title}**")
            st.html(zoo.as_image(svg))
            st.caption(text)


def _erased(space: SearchSpace) -> tuple[int, ...]:
    """Return the published redundant structures, or the smaller half of those that can go."""
    source = session.current().source
    entry = source.entry if isinstance(source, NetworkSource) else None
    published = space.structures_of(entry.selection.modules) if entry and entry.selection else ()
    if published and space.is_valid(published):
        return published
    sizes = {s.id: float(s.num_parameters) for s in space.removable}
    return space.select(sizes, (space.max_sparsity + 1) // 2)
