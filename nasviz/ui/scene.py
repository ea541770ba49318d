"""A run at one step, live or in a replay: the live view and the coloured graph."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import streamlit as st

from nasviz.draw import GraphView, Overlay, saliency_overlay
from nasviz.draw.about import About
from nasviz.draw.live_frame import COSINE, NORM, WEIGHT, LiveFrame, last_scores, live_frame
from nasviz.graph import SearchSpace
from nasviz.graph.structures.paths import count_paths, strongest
from nasviz.runs import Run, Tail
from nasviz.ui import colours, graphs, run_facts
from nasviz.ui.component import chosen_in, live_view, paint_message
from nasviz.ui.controls import keep, kept

__all__ = ["GRAPH", "Scene"]

GRAPH = "live-graph"
SHOWN = "shown-of-structures"


@lru_cache(maxsize=16)
def _frame(
    tail: Tail,
    vectors: str,
    measure: str,
    state: str,
    names: tuple[tuple[int, str], ...],
    more: tuple[tuple[str, str], ...],
) -> LiveFrame:
    """Build the frame of one step, shared by all pages that show it."""
    shown = replace(tail, scores=getattr(tail, vectors))
    return live_frame(shown, state=state, names=dict(names), measure=measure, more=more)


@dataclass(frozen=True)
class Scene:
    """A run with its search space and its graph."""

    run: Run
    space: SearchSpace | None
    """Search space, or None until the worker has written it."""
    view: GraphView | None

    @property
    def measure(self) -> str:
        """Name of the scores."""
        return run_facts.measure_of(self.run.settings)

    def choose(self, tail: Tail) -> None:
        """Show a choice of measure for the heat map and the graph, if there are several."""
        measures = list(self._measured(tail))
        if len(measures) < 2:
            return
        known = kept(SHOWN, self.measure)
        chosen = st.segmented_control(
            "Measure",
            measures,
            default=known if known in measures else self.measure,
            required=True,
            key=f"live.{SHOWN}",
            help="Shown in the heat map and the graph, per structure: its score, the cosine of weights and"
            " gradient before the step, or the norm after the step.",
        )
        keep(SHOWN, chosen)

    def _measured(self, tail: Tail) -> dict[str, str]:
        """Return the names of the recorded vectors by measure."""
        named = {self.measure: "scores", COSINE: "cosines"}
        if self.measure != run_facts.LENGTH:
            named[NORM] = "norms"
        return {name: vectors for name, vectors in named.items() if len(getattr(tail, vectors).steps)}

    def shown(self, tail: Tail) -> tuple[Tail, str]:
        """Return the record with the chosen measure in place of the scores, and the name of the measure."""
        vectors, measure = self._chosen(tail)
        return replace(tail, scores=getattr(tail, vectors)), measure

    def _chosen(self, tail: Tail) -> tuple[str, str]:
        """Return the chosen vectors and the name of the measure."""
        measured, chosen = self._measured(tail), kept(SHOWN, self.measure)
        return (measured[chosen], chosen) if chosen in measured else ("scores", self.measure)

    def show(self, tail: Tail, state: str) -> None:
        """Draw one step and recolour the graph."""
        paths = self._paths(tail)
        names = {s.id: s.name for s in self.space.structures} if self.space is not None else {}
        now = _frame(tail, *self._chosen(tail), state, tuple(names.items()), paths)
        messages = []
        if self.view is not None:
            messages.append(paint_message(self.view, GRAPH, self.overlay(tail), about=self.about(tail)))
        live_view(now, key="live", paint=messages)

    def overlay(self, tail: Tail) -> Overlay:
        """Return the overlay of the scores, the selected structures and the zero structures."""
        assert self.view is not None
        assert self.space is not None
        shown, measure = self.shown(tail)
        found = saliency_overlay(self.view, self.space, last_scores(shown), measure)
        return found | colours.states(self.view, self.space, shown, measure)

    def _paths(self, tail: Tail) -> tuple[tuple[str, str], ...]:
        """Summarize the operations per edge that differentiable search would keep now."""
        weights = last_scores(tail)
        if self.measure != WEIGHT or self.space is None or not weights:
            return ()
        switches = self.space.switches
        if not self.run.settings.method.has("edges_per_node"):
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
        shown, measure = self.shown(tail)
        found = graphs.facts_of(self.view, chosen, self.space).scored(shown.scores, measure)
        return [replace(found, is_protected=None)]  # protection cannot change during a run
