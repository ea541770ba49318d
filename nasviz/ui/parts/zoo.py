"""Cards of the zoo networks: thumbnail, sizes, published figures and a button to open them."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from nasviz.catalog import Entry, NetworkSource
from nasviz.draw.labels import count
from nasviz.ui import session
from nasviz.ui.parts.escaping import inert

__all__ = ["as_image", "cards"]

CARDS_IN_A_ROW = 4
PICTURES = Path(__file__).parents[1] / "assets" / "zoo"
"""Folder of the thumbnails, written by `make thumbnails`."""


def cards(entries: Sequence[Entry]) -> None:
    """Show the cards in rows."""
    for start in range(0, len(entries), CARDS_IN_A_ROW):
        row = entries[start : start + CARDS_IN_A_ROW]
        for column, entry in zip(st.columns(CARDS_IN_A_ROW), row, strict=False):
            with column.container(border=True, height="stretch"):
                _card(entry)


def _card(entry: Entry) -> None:
    is_open = session.current().source == NetworkSource(entry.name)
    if picture := _picture(entry.name):
        st.html(picture)
    st.markdown(f"**{entry.title}**", help=entry.summary)
    st.caption("  \n".join(filter(None, (*_counted(entry), _printed(entry)))))
    st.button(
        "Open" if not is_open else "Opened",
        key=f"open.{entry.name}",
        type="primary" if not is_open else "secondary",
        disabled=is_open,
        on_click=session.open_network,
        args=(NetworkSource(entry.name),),
    )


def _counted(entry: Entry) -> tuple[str, ...]:
    """Return the sizes of a network; for a registered network its summary."""
    known = entry.published
    if not known:
        return (inert(entry.summary),)
    most = f"K up to {known['max_sparsity']:.0f}" if known["max_sparsity"] else "no removable structures"
    return f"{count(known['params'])} parameters · {count(known['macs'])} MACs", most


def _printed(entry: Entry) -> str:
    """Return the published sizes in one line."""
    figures = entry.configurations[0].printed if entry.configurations else ()
    sizes = {f.what: f for f in reversed(figures) if f.what in ("params", "macs")}
    first = {"params": "", "macs": " MACs"}
    if not sizes:
        sizes = {f.what: f for f in reversed(figures) if f.what in ("sub_params", "sub_macs")}
        first = {"sub_params": "", "sub_macs": " MACs"}
    if not sizes:
        return ""
    words = " · ".join(sizes[what].text + unit for what, unit in first.items() if what in sizes)
    whole = "sub-network " if "sub_params" in sizes else ""
    return f"Published: {whole}{words} ({next(iter(sizes.values())).source})"


@st.cache_data(max_entries=64, show_spinner=False)
def _picture(name: str) -> str | None:
    """Return the thumbnail as HTML."""
    path = PICTURES / f"{name}.svg"
    if not path.exists():
        return None
    return as_image(path.read_text(encoding="utf-8"))


def as_image(svg: str) -> str:
    """Return an SVG as an HTML image; its `alt` is empty, because the text below repeats its content."""
    data = base64.b64encode(svg.encode()).decode()
    return f'<img alt="" style="width: 100%" src="data:image/svg+xml;base64,{data}">'
