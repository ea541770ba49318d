"""The guided tour: five minutes on DemoNet, with a hint at the top of each page."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from nasviz.catalog import NetworkSource
from nasviz.ui import address, session

__all__ = ["STOPS", "box", "offer"]

_KEY = "tour"


@dataclass(frozen=True, slots=True)
class Stop:
    """A page of the tour with its hint."""

    title: str
    text: str


STOPS = (
    Stop(
        "Model",
        "This is **DemoNet** with 817,010 parameters. The properties below were found by tracing it once.",
    ),
    Stop(
        "Trace graph",
        "All operator calls. Click **conv1**: the panel explains why it is not removable. Press"
        " **/** to search.",
    ),
    Stop(
        "Segment graph",
        "Six green segments are removable. Click one, press **Preview erasing**, and see what else is"
        " removed. Try conv7 and conv8 together.",
    ),
    Stop(
        "Search and train",
        "K is set to 3. Press **Start training** and watch the scores on the graph. It takes about a minute.",
    ),
    Stop(
        "Sub-network",
        "The sub-network next to the full network. The large number is the difference of their outputs.",
    ),
    Stop(
        "Export",
        "Download the sub-network as ONNX or Python source, or a report. Each file is verified first.",
    ),
    Stop("Learn", "End of the tour. The other lessons show each algorithm step by step."),
)


def offer() -> None:
    """Show the outline of the tour and its start button."""
    st.markdown(
        "Seven stops in about five minutes on a laptop CPU: from a network to an equivalent smaller one. A"
        " box at the top of each page gives hints."
    )
    for number, stop in enumerate(STOPS, 1):
        st.markdown(f"{number}. {stop.title}")
    if st.button("Start the tour on DemoNet", type="primary", icon=":material/tour:"):
        session.open_network(NetworkSource("demonet"))
        _go(0)


def box(title: str) -> None:
    """Show the box of the tour at the top of a page, if the tour is active."""
    at = session.current().choices.get(_KEY)
    if at is None:
        return
    stop = STOPS[at]
    with st.container(border=True, key="tour"):
        text, following, end = st.columns([6.5, 1.5, 1.35], vertical_alignment="center")
        away = "" if stop.title == title else f" *(on the page {stop.title})*"
        text.markdown(f":material/tour: **{at + 1} of {len(STOPS)}**{away} {stop.text}")
        if at + 1 < len(STOPS) and following.button("Next stop", type="primary", key="tour.next"):
            _go(at + 1)
        if end.button("End tour", key="tour.end"):
            del session.current().choices[_KEY]
            st.rerun()


def _go(at: int) -> None:
    session.current().choices[_KEY] = at
    st.switch_page(address.script_of(STOPS[at].title))
