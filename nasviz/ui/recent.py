"""Networks that were open before: in this visit, and those of the latest runs."""

from __future__ import annotations

import streamlit as st

from nasviz.catalog import NetworkSource
from nasviz.draw.labels import shorten
from nasviz.ui import session
from nasviz.ui.session import Source
from nasviz.ui.words import inert

__all__ = ["offer", "sources"]

SHOWN = 6
LOOKED_AT = 30
"""Runs whose networks are remembered; a place may hold thousands."""


def offer() -> None:
    """A row of buttons that open them again; nothing where there are none."""
    found = sources()
    if not found:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption("Recent", width="content")
        for number, source in enumerate(found):
            st.button(
                inert(shorten(name(source), 40)),
                key=f"recent.{number}.{hash(source)}",
                icon=":material/history:",
                on_click=session.open_network,
                args=(source,),
            )


def sources() -> list[Source]:
    """The latest first, each once, without the one that is open."""
    state = session.current()
    found = dict.fromkeys([*state.recent, *_trained(str(session.store().folder))])
    return [source for source in found if source != state.source][:SHOWN]


@st.cache_resource(ttl=15, max_entries=4, show_spinner=False)
def _trained(folder: str) -> list[NetworkSource]:
    """Networks of the latest runs in a folder; the list is asked for at every turn of the page."""
    runs = session.store().list()[:LOOKED_AT]
    return [summary.settings.network for summary in runs if summary.settings is not None]


def name(source: Source) -> str:
    """Its title, and how it differs from the one of the catalog."""
    words = [session.title(source)]
    if isinstance(source, NetworkSource):
        words += [f"{key} {value}" for key, value in dict(source.settings).items()]
        words += ["×".join(map(str, source.input_shape))] if source.input_shape else []
        words += map(str, source.inputs)
        words += [f"{source.num_classes} classes"] if source.num_classes else []
        words += ["own weights"] if source.weights else []
    return ", ".join(words)
