"""Next steps for a sub-network: fine-tune it in a new run, or open it as the current network."""

from __future__ import annotations

from typing import Any

import streamlit as st

from nasviz import jobs
from nasviz.catalog import DATASETS
from nasviz.errors import NasvizError
from nasviz.settings import SEARCH_SPACE, WEIGHTS, RunSettings, laid_over
from nasviz.ui import address, session
from nasviz.ui.parts import controls
from nasviz.ui.parts.escaping import inert
from nasviz.ui.parts.subnetworks import Subnetwork

__all__ = ["next_steps"]

WAYS = ("Keep", "Reinitialize")
GENTLE = 0.2
"""Default learning rate of fine-tuning, relative to that of the run."""


def next_steps(subnet: Subnetwork) -> None:
    """Offer to fine-tune a sub-network or to search in it again, if it can be loaded as data."""
    if subnet.imports:
        return
    st.markdown("##### Next steps")
    with st.container(horizontal=True):
        with st.popover("Fine-tune", icon=":material/tune:", key="fine-tune"):
            _fine_tune(subnet)
        if st.button("Search again", icon=":material/manage_search:", key="search-again"):
            session.open_network(subnet.as_network())
            st.switch_page(address.script_of("Segment graph"), query_params=address.link())
    st.caption(
        "Both make the sub-network the current network, with its weights. Its runs record the run it comes"
        " from."
    )


def _kept(before: RunSettings) -> dict[str, Any]:
    """Return the settings that fine-tuning inherits from the run: all but those of the search itself."""
    common = [name for name, field in before.fields().items() if field.group != SEARCH_SPACE]
    known = type(RunSettings.model_fields["method"].default)
    own = [name for name, field in before.method.fields().items() if field.group == WEIGHTS]
    return {name: before.value(name) for name in ("trust", *common, *filter(known.has, own))}


def _fine_tune(subnet: Subnetwork) -> None:
    """Ask for the settings of a run that trains the sub-network without pruning, and start it."""
    st.caption("Trains the sub-network in a new run, without further pruning.")
    is_fresh = (
        st.radio(
            "Weights", WAYS, captions=("fine-tuning", "training from scratch"), horizontal=True, key="fine.w"
        )
        == WAYS[1]
    )
    before = subnet.run.settings if subnet.run and not subnet.run.settings.is_watched else None
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
        st.caption("0 epochs given: choose at least 1.")
    if not st.button(
        word, type="primary", icon=":material/play_arrow:", key="fine.start", disabled=epochs == 0
    ):
        return
    try:
        kept = {"data": data} if before is None else _kept(before)
        changes = {"epochs": epochs, "lr": lr, "from_scratch": is_fresh}
        settings = RunSettings.of(network=subnet.as_network(), **laid_over(kept, changes))
    except NasvizError as error:
        st.error(inert(str(error)), icon=":material/error:")
        return
    jobs.require_trusted(settings)  # before the run is created
    run = session.store().create(settings, taken_from=subnet.run)
    jobs.start_run(run)
    session.adopt(run.settings)
    session.open_run(run)
    st.switch_page(address.script_of("Search and train"), query_params=address.link())
