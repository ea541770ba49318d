"""What documents print of the current network, beside what it is here."""

from __future__ import annotations

import streamlit as st

from nasviz.catalog import Configuration, Entry, Figure, NetworkSource
from nasviz.graph import TraceGraph
from nasviz.ui import session

__all__ = ["compare"]

WORDS = {
    "params": "Parameters",
    "macs": "MACs",
    "top1": "Accuracy",
    "top5": "Accuracy, best of five",
    "error": "Test error",
    "sub_params": "Parameters of the sub-network",
    "sub_macs": "MACs of the sub-network",
    "sub_top1": "Accuracy of the sub-network",
    "sub_top5": "Accuracy of the sub-network, best of five",
}


def compare(source: NetworkSource, trace: TraceGraph) -> None:
    """A table of the printed numbers, where there are any of this form, and ways to the other forms."""
    entry = source.entry
    if entry is None or not any(form.printed for form in entry.configurations):
        return
    here = source.form
    if here is not None and here.printed:
        with st.expander(f"As published: {here.title}", icon=":material/menu_book:"):
            st.dataframe([_row(figure, trace) for figure in here.printed], hide_index=True)
    others = [form for form in entry.configurations if form is not here and form.printed]
    if not others:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption("Published too:" if here else "Published in another form:", width="content")
        for form in others:
            st.button(
                form.title,
                key=f"form.{entry.name}.{form.title}",
                on_click=session.open_network,
                args=(_source(entry, form),),
            )


def _source(entry: Entry, form: Configuration) -> NetworkSource:
    return NetworkSource(entry.name, form.input_shape, form.num_classes, settings=form.settings)


def _row(figure: Figure, trace: TraceGraph) -> dict[str, str]:
    here = {"params": f"{trace.num_parameters:,}", "macs": f"{trace.macs:,}"}
    return {
        "": WORDS[figure.what],
        "here": here.get(figure.what, ""),
        "published": figure.text,
        "document": figure.source,
        "note": figure.note,
    }
