"""Published figures of the current network, and published accuracies of table rows."""

from __future__ import annotations

import streamlit as st

from nasviz.catalog import Configuration, Entry, Figure, NetworkSource, Printed
from nasviz.graph import TraceGraph
from nasviz.ui import session

__all__ = ["NO_PATH", "compare", "printed_accuracy"]

NO_PATH = "✗ no path left"

WORDS = {
    "params": "Parameters",
    "macs": "MACs",
    "top1": "Accuracy",
    "top5": "Top-5 accuracy",
    "error": "Test error",
    "sub_params": "Parameters of the sub-network",
    "sub_macs": "MACs of the sub-network",
    "sub_top1": "Accuracy of the sub-network",
    "sub_top5": "Top-5 accuracy of the sub-network",
}


def compare(source: NetworkSource, trace: TraceGraph) -> None:
    """Show the published figures of the network, and buttons for its other published configurations."""
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
        st.caption("Other published configurations:", width="content")
        for form in others:
            st.button(
                form.title,
                key=f"form.{entry.name}.{form.title}",
                on_click=session.open_network,
                args=(_source(entry, form),),
            )


def printed_accuracy(found: Printed) -> str:
    """Format the published accuracy of a row, with a cross if no run left a valid network.

    Examples:
        >>> printed_accuracy(Printed(94.61, 0.19, num_valid=3)), printed_accuracy(Printed(num_valid=0))
        ('94.61 ±0.19 % (3 valid)', '✗ no path left')
    """
    if found.num_valid == 0:
        return NO_PATH
    spread = "" if found.top1_std is None else f" ±{found.top1_std:g}"
    valid = f" ({found.num_valid} valid)" if found.num_valid is not None else ""
    return "" if found.top1 is None else f"{found.top1:g}{spread} %{valid}"


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
