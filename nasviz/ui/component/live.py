"""The live view component: one step of a run, and the overlays that recolour graphs with it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import streamlit as st

from nasviz.draw.live_frame import LiveFrame
from nasviz.draw.viewer import script, style_sheet

__all__ = ["live_view"]

_live = st.components.v2.component(
    "nasviz_live",
    html='<div class="nasviz-live"></div>\n',
    css=style_sheet("nasviz-live", "live.css"),
    js=script("live.js"),
)
_feed = st.components.v2.component("nasviz_feed", js=script("feed.js"))


def live_view(frame: LiveFrame, *, key: str, paint: Iterable[dict[str, Any]] = ()) -> int | None:
    """Show one step of a run; to be called repeatedly from a fragment with the same key.

    Args:
        frame: Content to show.
        key: Key of the widget.
        paint: Messages of `paint_message` for graph views on the page, which are recoloured at the same time
            without being sent or laid out again.

    Returns:
        Id of the structure whose row was clicked last.
    """
    # The row names are large and constant. As a separate message, Streamlit sends them once and caches them.
    answer = _live(key=key, data={"live": key, "rows": frame.rows()}, on_structure_change=_nothing)
    _feed(key=f"{key}-feed", data={"live": key, "frame": frame.payload(), "paint": list(paint)})
    chosen = answer.structure
    return chosen if isinstance(chosen, int) else None


def _nothing() -> None:
    """Do nothing: a component state needs a callback, but its value is read from the result."""
