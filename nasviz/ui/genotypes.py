"""The cells of a run as the papers draw them, with the genotype to copy and files to take home."""

from __future__ import annotations

import json

import streamlit as st

from nasviz.draw.genotype import chosen_cells, genotype_dot, summary
from nasviz.draw.layout import layout
from nasviz.errors import LayoutError
from nasviz.graph import SearchSpace
from nasviz.graph.cells.genotypes import ChosenCell, genotype_json, genotype_text
from nasviz.runs import Run, Tail
from nasviz.ui import frame
from nasviz.ui.words import inert

__all__ = ["of_run", "while_searching"]

REFRESH_S = 2.0
MEANINGS = {
    "single-path": "Single path: one operation between two states, as many edges into each node.",
    "multi-path": "Multi-path: several operations between two states, everywhere as many.",
    "mixed-path": "Mixed path: any number of operations on any edge, as the search found them.",
    "empty": "Nothing is kept.",
}


def of_run(run: Run, space: SearchSpace) -> None:
    """The cells of a run that is done; nothing where its network has none."""
    result = run.end.result if run.end is not None else None
    cells = _chosen(run, space, run.tail(every=64), done=result is not None)
    if not cells:
        return
    st.markdown("##### Cells")
    st.caption(inert(summary(cells)))
    is_whole = st.toggle("Show what is not kept", key=f"genotype.whole.{run.id}")
    for tab, cell in zip(st.tabs([cell.name for cell in cells]), cells, strict=True):
        with tab:
            _picture(genotype_dot(cell, is_whole=is_whole))
            st.caption(MEANINGS[cell.paths])
            _files(run, cell)
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


def while_searching(run: Run, space: SearchSpace, *, is_at_work: bool) -> None:
    """What the cells would be if the search ended now; looked at again every few seconds."""
    if any(kind.endswith("Cell") for kind in space.trace.modules.values()):
        with st.expander(
            "Cells, as they would be derived now", icon=":material/account_tree:", expanded=True
        ):
            st.fragment(_look, run_every=REFRESH_S if is_at_work else None)(run, space)


@frame.tell_errors
def _look(run: Run, space: SearchSpace) -> None:
    cells = _chosen(run, space, run.tail(every=64), done=run.state == "done")
    if not cells:
        st.caption("No weight is on record yet.")
        return
    for column, cell in zip(st.columns(len(cells)), cells, strict=True):
        with column:
            st.markdown(f"**{inert(cell.name)}**: {cell.paths}", help=MEANINGS[cell.paths])
            _picture(genotype_dot(cell, has_weights=False))
    st.caption(inert(summary(cells)))


def _chosen(run: Run, space: SearchSpace, tail: Tail, *, done: bool) -> tuple[ChosenCell, ...]:
    result = run.end.result if done and run.end is not None else None
    return chosen_cells(space, run.settings, tail, result)


def _picture(dot: str) -> None:
    svg = _svg(dot)
    if svg:
        st.image(svg, width="stretch")
    else:
        st.graphviz_chart(dot, width="stretch")


@st.cache_data(max_entries=128, show_spinner=False)
def _svg(dot: str) -> str:
    """Empty where no layout is to be had; the browser draws it then."""
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
