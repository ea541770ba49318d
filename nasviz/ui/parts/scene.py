"""A run at one step, live or in a replay: the live view and the coloured graph."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import streamlit as st

from nasviz.draw import GraphView, Overlay, saliency_overlay
from nasviz.draw.about import About
from nasviz.draw.live_frame import LiveFrame, current, last_scores, live_frame, measured, states_overlay
from nasviz.graph import SearchSpace
from nasviz.graph.switches import count_paths, strongest
from nasviz.runs import Run, Tail
from nasviz.settings import Vector
from nasviz.ui.component import chosen_in, live_view, paint_message
from nasviz.ui.parts import graphs
from nasviz.ui.parts.controls import keep, kept

__all__ = ["GRAPH", "Scene"]

GRAPH = "live-graph"
SHOWN = "shown-of-structures"
AUTOMATIC = "Automatic"


@lru_cache(maxsize=16)
def _frame(
    tail: Tail,
    vector: Vector,
    state: str,
    names: tuple[tuple[int, str], ...],
    more: tuple[tuple[str, str], ...],
) -> LiveFrame:
    """Build the frame of one step, shared by all pages that show it."""
    shown = replace(tail, scores=getattr(tail, vector.table))
    return live_frame(shown, state=state, names=dict(names), vector=vector, more=more)


@dataclass(frozen=True)
class Scene:
    """A run with its search space and its graph."""

    run: Run
    space: SearchSpace | None
    """Search space, or None until the worker has written it."""
    view: GraphView | None

    def choose(self, tail: Tail) -> None:
        """Show a choice of measure for the heat map and the graph, if there are several."""
        labels = [AUTOMATIC, *(vector.label for vector in measured(self.run.settings, tail))]
        if len(labels) < 3:
            return
        known = kept(SHOWN, AUTOMATIC)
        chosen = st.segmented_control(
            "Measure",
            labels,
            default=known if known in labels else labels[0],
            required=True,
            key=f"live.{SHOWN}",
            help="Shown in the heat map and the graph, per structure: its score, the cosine of weights and"
            " gradient before the step, or the norm after the step. Automatic: the measure recorded last, so"
            " that the colours follow the phase.",
        )
        keep(SHOWN, chosen)

    def shown(self, tail: Tail) -> tuple[Tail, Vector]:
        """Return the record with the chosen measure in place of the scores, and the measure."""
        vector = self._chosen(tail)
        return replace(tail, scores=getattr(tail, vector.table)), vector

    def _chosen(self, tail: Tail) -> Vector:
        """Return the chosen measure; by default, or if it was not recorded, the current one."""
        known = measured(self.run.settings, tail)
        chosen = kept(SHOWN, AUTOMATIC)
        return next((vector for vector in known if vector.label == chosen), current(known, tail))

    def show(self, tail: Tail, state: str) -> None:
        """Draw one step and recolour the graph."""
        paths = self._paths(tail)
        names = {s.id: s.name for s in self.space.structures} if self.space is not None else {}
        now = _frame(tail, self._chosen(tail), state, tuple(names.items()), paths)
        messages = []
        if self.view is not None:
            messages.append(paint_message(self.view, GRAPH, self.overlay(tail), about=self.about(tail)))
        live_view(now, key="live", paint=messages)

    def overlay(self, tail: Tail) -> Overlay:
        """Return the overlay of the scores, the selected structures and the zero structures."""
        assert self.view is not None
        assert self.space is not None
        shown, vector = self.shown(tail)
        found = saliency_overlay(self.view, self.space, last_scores(shown), vector.label)
        return found | states_overlay(self.view, self.space, shown, vector)

    def _paths(self, tail: Tail) -> tuple[tuple[str, str], ...]:
        """Summarize the operations per edge that differentiable search would keep now."""
        weights = last_scores(tail)
        settings = self.run.settings
        vector = next((v for v in settings.method.vectors(settings.kept_edges) if v.weighs), None)
        if vector is None or self.space is None or not weights:
            return ()
        switches = self.space.switches
        if vector.num_kept is None:
            paths, word = count_paths(switches, {i for i, w in weights.items() if w}), "with weight"
        else:
            # Softmax weights are never zero: derivation keeps the strongest operations of each edge.
            paths, word = count_paths(switches, strongest(switches, weights)), "if derived now"
        span = f"{paths.least}" if paths.least == paths.most else f"{paths.least} to {paths.most}"
        words = f"{word}: {paths.num_operations} of {len(switches)} operations, {span} per edge"
        return ((words, paths.kind),)

    def about(self, tail: Tail) -> list[About]:
        """Return the facts about the selected vertex, with its history up to this step."""
        if self.view is None or self.space is None or (chosen := chosen_in(self.view, GRAPH)) is None:
            return []
        shown, vector = self.shown(tail)
        found = graphs.facts_of(self.view, chosen, self.space).scored(shown.scores, vector.label)
        return [replace(found, is_protected=None)]  # protection cannot change during a run
