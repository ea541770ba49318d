"""Overlays of a graph: colours by score or cost, and the state of each vertex.

An overlay is small, because it is sent repeatedly while a run is shown. It refers to the opaque ids of one
view and does not change the layout.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any, Literal

from nasviz.draw.captions import num_parameters
from nasviz.draw.labels import clean, count, ranges
from nasviz.draw.packing import NO_BIN, pack_bins
from nasviz.draw.palette import STATES, to_bins
from nasviz.draw.view import GraphView
from nasviz.graph import ConstructionPlan, SearchSpace, TraceGraph

__all__ = ["Overlay", "cost_overlay", "plan_overlay", "saliency_overlay", "state_overlay"]

Scale = Literal["", "cividis", "viridis"]


@dataclass(frozen=True)
class Overlay:
    """Colour bins, states and notes by the opaque ids of one view.

    `a | b` combines two overlays; the colour scale of `b` takes precedence.
    """

    title: str = ""
    scale: Scale = ""
    bins: Mapping[str, int] = field(default_factory=dict)
    limits: tuple[str, str] = ("", "")
    """Smallest and largest value, for the legend."""
    states: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    """One line per vertex, shown on hover and selection."""

    def __or__(self, other: Overlay) -> Overlay:
        colours = other if other.scale else self
        notes = dict(self.notes)
        for key, text in other.notes.items():
            notes[key] = f"{notes[key]}; {text}" if key in notes else text
        states = dict(self.states)
        for key, more in other.states.items():
            states[key] = tuple(dict.fromkeys((*states.get(key, ()), *more)))
        title = " · ".join(filter(None, dict.fromkeys((self.title, other.title))))
        return Overlay(title, colours.scale, colours.bins, colours.limits, states, notes)

    @property
    def legend(self) -> tuple[tuple[str, str], ...]:
        """Names and meanings of the states present, in the order of the palette."""
        present = {state for states in self.states.values() for state in states}
        return tuple((mark.name, mark.meaning) for mark in STATES.values() if mark.name in present)

    def payload(self) -> dict[str, Any]:
        """Return all data for the browser."""
        return {
            "title": self.title,
            "scale": self.scale,
            "limits": self.limits,
            "bins": dict(self.bins),
            "states": {
                key: " ".join(f"s-{state}" for state in states) for key, states in self.states.items()
            },
            "notes": dict(self.notes),
            "legend": self.legend,
        }

    def packed(self, ids: Sequence[str]) -> dict[str, Any]:
        """Return the payload in about a third of its size, for updates twice a second.

        Bins are packed in the order of the vertices, notes of coloured vertices are listed without their
        common prefix, and vertices are grouped by state.

        Args:
            ids: Ids of all vertices of the view, in order.
        """
        binned = [self.notes.get(i) for i in ids if i in self.bins]
        prefix = _common_prefix([note for note in binned if note is not None])
        marked: dict[str, list[str]] = {}
        for key, states in self.states.items():
            marked.setdefault(" ".join(f"s-{state}" for state in states), []).append(key)
        same = {name: value for name, value in self.payload().items() if name != "bins"}
        return same | {
            "packed": pack_bins([self.bins.get(i, NO_BIN) for i in ids]),
            "states": {words: " ".join(found) for words, found in marked.items()},
            "notes": {
                "prefix": prefix,
                "binned": [None if note is None else note.removeprefix(prefix) for note in binned],
                "others": {key: note for key, note in self.notes.items() if key not in self.bins},
            },
        }


def saliency_overlay(
    view: GraphView, space: SearchSpace, scores: Mapping[int, float], what: str = "Saliency"
) -> Overlay:
    """Return an overlay of removal structures by score, in cividis: dark is redundant, bright is important.

    A closed module with several structures shows the lowest of their scores.

    Args:
        view: The view to colour.
        space: Search space of the structures.
        scores: Scores, or another quantity, by structure id.
        what: Name of the quantity.
    """
    lowest: dict[str, float] = {}
    for structure, score in scores.items():
        for vertex in space.segments[structure].vertices:
            if drawn := view.drawing.by_member.get(vertex):
                lowest[drawn] = min(score, lowest.get(drawn, score))
    return _coloured(what, "cividis", lowest, "{:.3g}".format, f"{what.lower()} {{}}")


def cost_overlay(view: GraphView, trace: TraceGraph, cost: Literal["macs", "parameters"]) -> Overlay:
    """Return an overlay of vertices by MACs or parameters, in viridis; vertices without cost stay plain."""
    values: dict[str, float] = {}
    for drawn in view.drawing.vertices:
        spent = num_parameters(trace, drawn.members)
        if cost == "macs":
            spent = sum(trace[v].macs for v in drawn.members)
        if spent:
            values[drawn.id] = spent
    title = {"macs": "MACs", "parameters": "Parameters"}[cost]
    return _coloured(title, "viridis", values, count, f"{{}} {title}")


def state_overlay(view: GraphView, vertices: Collection[str], state: str, title: str = "") -> Overlay:
    """Return an overlay that marks all drawn vertices which contain any of `vertices` with a state.

    Raises:
        KeyError: The state is not in the palette.
    """
    mark = STATES[state]
    marked = {view.drawing.by_member[v] for v in vertices if v in view.drawing.by_member}
    return Overlay(title=title, states=dict.fromkeys(sorted(marked), (mark.name,)))


def plan_overlay(view: GraphView, plan: ConstructionPlan) -> Overlay:
    """Return an overlay of the effect of construction on each vertex, such as erased, sliced or bypassed."""
    sliced: dict[str, list[str]] = {}
    for cut in plan.slices:
        sliced.setdefault(cut.vertex, []).append(
            f"{clean(cut.tensor)} loses {_axis(cut.dim)} {ranges(cut.rows)}"
        )
    for fold in plan.folds:
        sliced.setdefault(fold.vertex, []).append("removed constant channels are folded into its bias")
    for gather in plan.gathers:
        sliced.setdefault(gather.vertex, []).append("selects the live channels of an earlier value")
    filled = set(plan.materialised)
    states: dict[str, tuple[str, ...]] = {}
    notes: dict[str, str] = {}
    for drawn in view.drawing.vertices:
        gone = [v for v in drawn.members if v in plan.erased]
        found: dict[str, str] = {}
        if gone and len(gone) == len(drawn.members):
            reasons = {plan.erased[v] for v in gone}
            found["dead-end" if reasons == {"dead end"} else "erased"] = (
                "replaced by its value at zero"
                if reasons == {"gate"}
                else f"erased: {', '.join(sorted(reasons))}"
            )
        else:
            if gone:
                found["sliced"] = f"{len(gone)} of {len(drawn.members)} operators erased"
            for v in drawn.members:
                found |= _changes(v, sliced, plan, filled, found)
        if found:
            states[drawn.id] = tuple(found)
            notes[drawn.id] = "; ".join(filter(None, found.values()))
    return Overlay(title="Construction", states=states, notes=notes)


def _changes(
    vertex: str,
    sliced: Mapping[str, list[str]],
    plan: ConstructionPlan,
    filled: Collection[str],
    found: Mapping[str, str],
) -> dict[str, str]:
    """Return state and note of the changes to a vertex that is kept."""
    changes: dict[str, str] = {}
    if vertex in sliced:
        changes["sliced"] = "; ".join(filter(None, (found.get("sliced", ""), *sliced[vertex])))
    if vertex in plan.scaled:
        changes["bypassed"] = f"its gate is replaced by {plan.scaled[vertex]:g}"
    elif vertex in plan.bypassed:
        changes["bypassed"] = "bypassed: only one operand remains"
    elif vertex in plan.dropped:
        changes["sliced"] = f"loses operand {ranges(plan.dropped[vertex])}"
    if vertex in filled:
        changes["materialised"] = "zeros are restored before it"
    return changes


def _common_prefix(texts: Sequence[str]) -> str:
    """Return the common prefix, which is that of the smallest and the largest text."""
    first, last = min(texts, default=""), max(texts, default="")
    same = takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    return "".join(letter for letter, _ in same)


def _axis(dim: int) -> str:
    return {0: "rows", 1: "columns"}.get(dim, f"indices of axis {dim}")


def _coloured(
    title: str, scale: Scale, values: Mapping[str, float], text: Callable[[float], str], note: str
) -> Overlay:
    """Return an overlay of the values as bins, with their limits and a note for each."""
    if not values:
        return Overlay(title=title)
    limits = (text(min(values.values())), text(max(values.values())))
    notes = {key: note.format(text(value)) for key, value in values.items()}
    return Overlay(title, scale, to_bins(values), limits, {}, notes)
