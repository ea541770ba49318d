"""The guided tour: five minutes on DemoNet, a box on top of each page that says what to look for."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from nasviz.catalog import NetworkSource
from nasviz.ui import session

__all__ = ["STOPS", "box", "offer"]

_KEY = "tour"


@dataclass(frozen=True, slots=True)
class Stop:
    """A page of the tour, and what to do on it."""

    title: str
    script: str
    text: str


STOPS = (
    Stop(
        "Model",
        "pages/Model.py",
        "This is **DemoNet**, 817,010 parameters. Everything below was found by running it once.",
    ),
    Stop(
        "Trace graph",
        "pages/Trace_graph.py",
        "Every operator call. Click **conv1**: the panel says why it cannot go. Press **/** to search.",
    ),
    Stop(
        "Segment graph",
        "pages/Segment_graph.py",
        "Six green segments could go. Click one, press **Erase it, as a trial**, and read what goes with it."
        " Try conv7 and conv8 together.",
    ),
    Stop(
        "Search and train",
        "pages/Search_and_train.py",
        "K = 3 is set. Press **Start training** and watch the scores on the graph; it takes about a minute.",
    ),
    Stop(
        "Sub-network",
        "pages/Sub-network.py",
        "What is left, beside the full network. The large number says how far the two differ.",
    ),
    Stop(
        "Export",
        "pages/Export.py",
        "Take it home: ONNX, Python source, a report. Each file is read back first.",
    ),
    Stop("Learn", "pages/Learn.py", "That was all. The other lessons show each algorithm step by step."),
)


def offer() -> None:
    """Invite to the tour."""
    st.markdown(
        "Seven stops, about five minutes, on a laptop's processor: from a network to a smaller one that"
        " computes the same. A box on top of each page says what to look for."
    )
    for number, stop in enumerate(STOPS, 1):
        st.markdown(f"{number}. {stop.title}")
    if st.button("Start the tour on DemoNet", type="primary", icon=":material/tour:"):
        session.open_network(NetworkSource("demonet"))
        _go(0)


def box(title: str) -> None:
    """The box on top of a page, while the tour lasts."""
    at = session.current().choices.get(_KEY)
    if at is None:
        return
    stop = STOPS[at]
    with st.container(border=True, key="tour"):
        said, on, end = st.columns([6.5, 1.5, 1.35], vertical_alignment="center")
        away = "" if stop.title == title else f" *(on the page {stop.title})*"
        said.markdown(f":material/tour: **{at + 1} of {len(STOPS)}**{away} {stop.text}")
        if at + 1 < len(STOPS) and on.button("Next stop", type="primary", key="tour.next"):
            _go(at + 1)
        if end.button("End tour", key="tour.end"):
            del session.current().choices[_KEY]
            st.rerun()


def _go(at: int) -> None:
    session.current().choices[_KEY] = at
    st.switch_page(STOPS[at].script)
