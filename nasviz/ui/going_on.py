"""From a sub-network onwards: fine-tune it as a new run, or make it the network that is open."""

from __future__ import annotations

from typing import Any

import streamlit as st

from nasviz import jobs
from nasviz.catalog import DATASETS
from nasviz.errors import NasvizError
from nasviz.settings import SEARCH_SPACE, WEIGHTS, RunSettings
from nasviz.ui import address, controls, frame, session
from nasviz.ui.cuts import Cut
from nasviz.ui.words import inert

__all__ = ["go_on"]

WAYS = ("as they are", "drawn anew")
GENTLE = 0.2
"""Share of a run's learning rate with which its sub-network is fine-tuned."""


def go_on(cut: Cut) -> None:
    """Offer what can be done with a sub-network here, if it can be read as data."""
    if cut.imports:
        return
    st.markdown("##### Go on from here")
    with st.container(horizontal=True):
        with st.popover("Fine-tune it", icon=":material/tune:", key="fine-tune"):
            _fine_tune(cut)
        if st.button("Search again in it", icon=":material/manage_search:", key="search-again"):
            session.open_network(cut.as_network())
            st.switch_page(frame.PAGES["Segment graph"].script, query_params=address.link())
    st.caption(
        "Either way the sub-network becomes the network that is open, with its weights as they are: all pages"
        " work on it, and its runs name the run that they come from."
    )


def _kept(before: RunSettings) -> dict[str, Any]:
    """Return the settings that fine-tuning takes over from the run of the sub-network."""
    fields = {n: f for n, f in before.fields().items() if f.group != SEARCH_SPACE}
    fields |= {n: f for n, f in before.method.fields().items() if f.group == WEIGHTS}
    return {name: before.value(name) for name in ("trust", *fields)}


def _fine_tune(cut: Cut) -> None:
    """A new run that trains the sub-network, and cuts nothing more out of it."""
    st.caption("A new run trains all that is left. Nothing more goes.")
    is_fresh = (
        st.radio("Weights", WAYS, captions=("fine-tuning", "as papers do"), horizontal=True, key="fine.w")
        == WAYS[1]
    )
    before = cut.run.settings if cut.run else None
    data = before.data if before else controls.choose_entry("Data", DATASETS, "fine.data").name
    epochs = int(st.number_input("Epochs", 0, 10**6, before.epochs if before else 4, key="fine.epochs"))
    share = 1.0 if is_fresh else GENTLE
    lr = st.number_input(
        "Learning rate",
        value=(before.method.lr if before else 0.05) * share,
        format="%g",
        key=f"fine.lr.{is_fresh}",
    )
    word = "Start training" if is_fresh else "Start fine-tuning"
    if epochs == 0:
        st.caption("0 epochs train nothing: choose at least 1.")
    if not st.button(
        word, type="primary", icon=":material/play_arrow:", key="fine.start", disabled=epochs == 0
    ):
        return
    try:
        kept = {"data": data} if before is None else _kept(before)
        changes = {"epochs": epochs, "lr": lr, "from_scratch": is_fresh}
        settings = RunSettings.of(network=cut.as_network(), **kept | changes)
    except NasvizError as error:
        st.error(inert(str(error)), icon=":material/error:")
        return
    jobs.require_trusted(settings)  # before a run exists that may not start
    run = session.store().create(settings, taken_from=cut.run)
    jobs.start_run(run)
    session.adopt(run.settings)
    session.open_run(run)
    st.switch_page(frame.PAGES["Search and train"].script, query_params=address.link())
