"""Derived cells of a run, drawn as in the papers, with their genotype and files to download."""

from __future__ import annotations

import json

import streamlit as st

from nasviz.catalog import NetworkSource, Value
from nasviz.draw.genotype import chosen_cells, genotype_dot, summary
from nasviz.draw.layout import layout
from nasviz.errors import LayoutError, NasvizError
from nasviz.graph import SearchSpace
from nasviz.graph.cells.genotypes import ChosenCell, genotype_json, genotype_text
from nasviz.runs import Run, Tail
from nasviz.ui import address, frame, session
from nasviz.ui.parts.escaping import inert

__all__ = ["ChosenCell", "of_run", "picture", "while_searching"]

REFRESH_S = 2.0
MEANINGS = {
    "single-path": "Single path: one operation per edge, the same number of edges into each node.",
    "multi-path": "Multi-path: several operations per edge, the same number everywhere.",
    "mixed-path": "Mixed path: any number of operations per edge.",
    "empty": "Nothing is kept.",
}


def of_run(run: Run, space: SearchSpace) -> None:
    """Show the derived cells of a finished run, if its network has cells."""
    result = run.end.result if run.end is not None else None
    cells = _chosen(run, space, run.tail(every=64), done=result is not None)
    if not cells:
        return
    st.markdown("##### Cells")
    st.caption(inert(summary(cells)))
    is_whole = st.toggle("Show removed operations", key=f"genotype.whole.{run.id}")
    for tab, cell in zip(st.tabs([inert(cell.name) for cell in cells]), cells, strict=True):
        with tab:
            picture(genotype_dot(cell, is_whole=is_whole))
            st.caption(MEANINGS[cell.paths])
            _files(run, cell)
    _train_at_full_size(run)
    with st.container(key="genotype"):
        st.code(genotype_text(cells), language="python", wrap_lines=True)
    st.download_button(
        "Genotype as JSON",
        json.dumps(genotype_json(cells), indent=1),
        "genotype.json",
        "application/json",
        icon=":material/download:",
        on_click="ignore",
    )


def _train_at_full_size(run: Run) -> None:
    """Offer to make the larger network of the genotype the current one."""
    try:
        genotype = run.genotype
    except NasvizError as error:
        st.caption(inert(str(error)))
        return
    if not st.button(
        "Build the full network",
        icon=":material/open_in_full:",
        key=f"genotype.build.{run.id}",
        help="Builds a larger network of these cells, as the papers do, to train it from scratch.",
    ):
        return
    own: dict[str, Value] = {"genotype": genotype.text}
    if genotype.takes_auxiliary:
        own |= {"auxiliary": 0.4, "drop_path": 0.2}
    shape = run.settings.network.input_shape if genotype.kind != "recurrent" else None
    session.open_network(
        NetworkSource(
            "cells",
            shape,
            run.settings.network.num_classes,
            settings=own,
        ),
        is_chosen=True,
    )
    st.switch_page(address.script_of("Search and train"), query_params=address.link())


def while_searching(run: Run, space: SearchSpace, *, is_at_work: bool) -> None:
    """Show the cells that the search would derive now, refreshed every few seconds."""
    if any(kind.endswith("Cell") for kind in space.trace.modules.values()):
        with st.expander(
            "Cells derived from the current weights", icon=":material/account_tree:", expanded=True
        ):
            st.fragment(_refresh, run_every=REFRESH_S if is_at_work else None)(run, space)


@frame.handle_errors
def _refresh(run: Run, space: SearchSpace) -> None:
    cells = _chosen(run, space, run.tail(every=64), done=run.state == "done")
    if not cells:
        st.caption("No weights recorded yet.")
        return
    for column, cell in zip(st.columns(len(cells)), cells, strict=True):
        with column:
            st.markdown(f"**{inert(cell.name)}**: {cell.paths}", help=MEANINGS[cell.paths])
            picture(genotype_dot(cell, has_weights=False))
    st.caption(inert(summary(cells)))


def _chosen(run: Run, space: SearchSpace, tail: Tail, *, done: bool) -> tuple[ChosenCell, ...]:
    result = run.end.result if done and run.end is not None else None
    return chosen_cells(space, run.settings, tail, result)


def picture(dot: str) -> None:
    """Show a graph, laid out on the server if possible."""
    svg = _svg(dot)
    if svg:
        st.image(svg, width="stretch")
    else:
        st.graphviz_chart(dot, width="stretch")


@st.cache_data(max_entries=128, show_spinner=False)
def _svg(dot: str) -> str:
    """Return the SVG of a graph; empty if the layout failed, so that the browser draws it."""
    try:
        return layout(dot)
    except LayoutError:
        return ""


def _files(run: Run, cell: ChosenCell) -> None:
    dot, stem = genotype_dot(cell), f"cell-{cell.name.replace(' ', '-')}"
    svg = _svg(dot)
    with st.container(horizontal=True):
        for name, text, mime in (
            (f"{stem}.dot", dot, "text/vnd.graphviz"),
            (f"{stem}.svg", svg, "image/svg+xml"),
        ):
            if text:
                st.download_button(
                    name,
                    text,
                    name,
                    mime,
                    key=f"genotype.{run.id}.{name}",
                    icon=":material/download:",
                    on_click="ignore",
                )
