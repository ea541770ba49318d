"""Recently opened networks: those of this session and those of the latest runs."""

from __future__ import annotations

import streamlit as st

from nasviz.catalog import NetworkSource
from nasviz.draw.labels import shorten
from nasviz.ui import session
from nasviz.ui.parts.escaping import inert
from nasviz.ui.session import Source

__all__ = ["offer", "sources"]

SHOWN = 6
LOOKED_AT = 30
"""Number of latest runs whose networks are offered."""


def offer() -> None:
    """Show a row of buttons that open recent networks."""
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
    """Return the recent networks without duplicates and the current one, most recent first."""
    state = session.current()
    found = dict.fromkeys([*state.recent, *_trained(str(session.store().folder))])
    return [source for source in found if source != state.source][:SHOWN]


@st.cache_resource(ttl=15, max_entries=4, show_spinner=False)
def _trained(folder: str) -> list[NetworkSource]:
    """Return the networks of the latest runs in a folder; cached, because every rerun needs them."""
    runs = session.store().list()[:LOOKED_AT]
    return [summary.settings.network for summary in runs if summary.settings is not None]


def name(source: Source) -> str:
    """Return the title of a network and its differences from the catalog entry."""
    words = [session.title(source)]
    if isinstance(source, NetworkSource):
        words += [f"{key} {value}" for key, value in dict(source.settings).items()]
        words += ["×".join(map(str, source.input_shape))] if source.input_shape else []
        words += map(str, source.inputs)
        words += [f"{source.num_classes} classes"] if source.num_classes else []
        words += [source.weights if source.is_published else "custom weights"] if source.weights else []
    return ", ".join(words)
