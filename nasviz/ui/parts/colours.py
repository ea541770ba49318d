"""Colouring of the graphs: one choice for all graphs, applied as an overlay without a new layout."""

from __future__ import annotations

from functools import reduce

import streamlit as st

from nasviz.catalog import NetworkSource
from nasviz.draw import GraphView, Overlay, cost_overlay, plan_overlay, saliency_overlay, state_overlay
from nasviz.draw.live_frame import last_scores, states_overlay
from nasviz.graph import ConstructionPlan, SearchSpace
from nasviz.runs import Run
from nasviz.settings import COSINES, NORMS
from nasviz.settings import SALIENCY as SCORES
from nasviz.ui import session
from nasviz.ui.parts import run_facts, scores
from nasviz.ui.parts.controls import keep, kept

__all__ = ["choose", "painted"]

PLAIN, REMOVABLE, SALIENCY = "Type", "Removable", SCORES.label
COSINE, NORM = COSINES.label, NORMS.label
MACS, PARAMETERS = "MACs", "Parameters"
SCORED = (SALIENCY, COSINE, NORM)


def choose(*, is_compact: bool = False) -> str:
    """Let the user choose the colouring, which all pages share; from a list where there is little room.

    Scores are those of the current run if it trains this network, otherwise those of one untrained batch.
    """
    is_trainable = isinstance(session.current().source, NetworkSource)
    options = [PLAIN, REMOVABLE, *(SCORED if is_trainable else ()), MACS, PARAMETERS]
    known = kept("view", PLAIN)
    known = known if known in options else PLAIN
    if is_compact:
        colour = st.selectbox(
            "Colour by", options, options.index(known), key="colour", label_visibility="collapsed", width=150
        )
        keep("view", colour)
        return str(colour)
    colour = st.segmented_control(
        "Colour by",
        options,
        default=known,
        required=True,
        key="colour",
        label_visibility="collapsed",
        wrap=True,
    )
    keep("view", colour)
    return str(colour)


def painted(
    view: GraphView, space: SearchSpace, colour: str, plan: ConstructionPlan | None = None
) -> Overlay:
    """Return the overlay of a colouring, with the preview or the states of the current run on top.

    Args:
        view: Graph to colour.
        space: Search space of the graph.
        colour: One of the choices of `choose`.
        plan: Plan of the preview.
    """
    run = run_facts.current_on(space)
    layers = [_colours(view, space, colour, run)]
    if plan is not None:
        layers.append(plan_overlay(view, plan))
    elif run is not None:
        layers.append(
            states_overlay(view, space, run_facts.read(run), run_facts.default_vector(run.settings))
        )
    protected = space.segments.vertices_of(space.protected)
    layers.append(state_overlay(view, protected, "protected"))
    return reduce(Overlay.__or__, layers)


def _colours(view: GraphView, space: SearchSpace, colour: str, run: Run | None) -> Overlay:
    if colour == MACS:
        return cost_overlay(view, space.trace, "macs")
    if colour == PARAMETERS:
        return cost_overlay(view, space.trace, "parameters")
    if colour == REMOVABLE:
        vertices = [vertex for s in space.removable for vertex in s.vertices]
        return state_overlay(view, vertices, "selected", "Removable")
    if colour in SCORED:
        values = _values(space, colour, run)
        return Overlay(title=colour) if values is None else saliency_overlay(view, space, values, colour)
    return Overlay()


def _values(space: SearchSpace, colour: str, run: Run | None) -> dict[int, float] | None:
    """Return one value per structure: recorded by the current run, else computed on one batch."""
    source = session.current().source
    if not isinstance(source, NetworkSource) or not space.structures:
        return None
    if run is not None:
        tail = run_facts.read(run)
        vectors = {SALIENCY: tail.scores, COSINE: tail.cosines, NORM: tail.norms}
        if measured := last_scores(tail, vectors[colour]):
            return measured
    names = {SALIENCY: kept("preview.saliency", "snip"), COSINE: "cosine", NORM: "magnitude"}
    found = scores.scored(source, space, names[colour], seed=kept("seed", 0))
    if found is None or colour == SALIENCY:
        return found
    if colour == COSINE:  # the score is the negative cosine
        return {i: -score for i, score in found.items()}
    sizes = {s.id: s.num_parameters for s in space.structures}  # the score is the norm divided by the size
    return {i: score * sizes[i] for i, score in found.items()}
