"""What a graph is coloured by: one choice for all graphs, and an overlay for each, without a new layout."""

from __future__ import annotations

from functools import reduce

import streamlit as st

from nasviz.catalog import NetworkSource
from nasviz.draw import GraphView, Overlay, cost_overlay, plan_overlay, saliency_overlay, state_overlay
from nasviz.draw.live_frame import COSINE, NORM, WEIGHT, last_scores, structure_states
from nasviz.graph import ConstructionPlan, SearchSpace
from nasviz.graph.structures.paths import strongest
from nasviz.runs import Run, Tail
from nasviz.ui import run_facts, scores, session
from nasviz.ui.controls import keep, kept

__all__ = ["choose", "painted", "states"]

PLAIN, CAN_GO, SALIENCY = "What it is", "What can go", "Saliency"
MACS, PARAMETERS = "MACs", "Parameters"
SCORED = (SALIENCY, COSINE, NORM)
MARKS = {"selected": "selected", "orphaned": "selected", "zero": "zero"}
"""State of a structure while training, and how it is painted."""


def choose() -> str:
    """What the graphs are coloured by; the same on every page."""
    is_trainable = isinstance(session.current().source, NetworkSource)
    options = [PLAIN, CAN_GO, *(SCORED if is_trainable else ()), MACS, PARAMETERS]
    known = kept("view", PLAIN)
    colour = st.segmented_control(
        "Colour by",
        options,
        default=known if known in options else PLAIN,
        required=True,
        key="colour",
        wrap=True,
        help="Scores come from the open run, where it trains this network; else from one batch, untrained.",
    )
    keep("view", colour)
    return str(colour)


def painted(
    view: GraphView, space: SearchSpace, colour: str, plan: ConstructionPlan | None = None
) -> Overlay:
    """The colours that were chosen, with what is zero in the open run, on trial, or protected on top.

    Args:
        view: What is painted.
        space: What it shows of.
        colour: One of the choices of `choose`.
        plan: Of a trial: what is erased, sliced and bypassed.
    """
    run = run_facts.current_on(space)
    layers = [_colours(view, space, colour, run)]
    if plan is not None:
        layers.append(plan_overlay(view, plan))
    elif run is not None:
        layers.append(states(view, space, run_facts.read(run), run_facts.measure_of(run.settings)))
    protected = [v for i in space.protected for v in space.segments[i].vertices]
    layers.append(state_overlay(view, protected, "protected"))
    return reduce(Overlay.__or__, layers)


def _colours(view: GraphView, space: SearchSpace, colour: str, run: Run | None) -> Overlay:
    if colour == MACS:
        return cost_overlay(view, space.trace, "macs")
    if colour == PARAMETERS:
        return cost_overlay(view, space.trace, "parameters")
    if colour == CAN_GO:
        vertices = [vertex for s in space.removable for vertex in s.vertices]
        return state_overlay(view, vertices, "selected", "Could go")
    if colour in SCORED:
        values = _values(space, colour, run)
        return Overlay(title=colour) if values is None else saliency_overlay(view, space, values, colour)
    return Overlay()


def _values(space: SearchSpace, colour: str, run: Run | None) -> dict[int, float] | None:
    """One number a structure: of the run where it has measured it, else of one batch."""
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
    if colour == COSINE:  # the score is the cosine with its sign turned round
        return {i: -score for i, score in found.items()}
    sizes = {s.id: s.num_parameters for s in space.structures}  # the score is the length over the size
    return {i: score * sizes[i] for i, score in found.items()}


def states(view: GraphView, space: SearchSpace, tail: Tail, measure: str = "Saliency") -> Overlay:
    """What a run has selected so far, and what is zero in it.

    Where its scores are weights of operations, the strongest one of each edge is marked too.
    """
    layers = [
        state_overlay(view, space.segments[structure.id].vertices, MARKS[structure.state])
        for structure in structure_states(tail, {}, measure)
        if structure.state in MARKS
    ]
    if measure == WEIGHT:
        leading = strongest(space.switches, last_scores(tail))
        vertices = [v for i in leading for v in space.segments[i].vertices]
        layers.append(state_overlay(view, vertices, "leading"))
    return reduce(Overlay.__or__, layers, Overlay())
