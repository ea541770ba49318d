"""Step-by-step animations of the graph algorithms.

Nothing is computed here: every frame shows a step that the implementation of the algorithm yields.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from nasviz.draw.labels import clean, count, ranges
from nasviz.draw.overlay import Overlay, plan_overlay, state_overlay
from nasviz.draw.palette import BINS
from nasviz.draw.view import GraphView
from nasviz.graph import ConstructionPlan, SearchSpace, blocks, growth

__all__ = ["LessonFrame", "construction_frames", "growth_frames", "selection_frames"]

WHY = ("selected", "orphaned", "gate", "dead end")
_MAX_NAMES = 6
"""Maximum number of names in a sentence."""


@dataclass(frozen=True, slots=True)
class LessonFrame:
    """One step of a lesson."""

    text: str
    """Markdown in which names of the model are escaped."""
    source: str
    """Reference: document, algorithm and line."""
    overlay: Overlay


def growth_frames(view: GraphView, space: SearchSpace) -> Iterator[LessonFrame]:
    """Yield the growth of segments vertex by vertex (ASGNAS, Algorithm 2, lines 2-10)."""
    units = blocks(space.trace, space.collapse)
    bins: dict[str, int] = {}
    for step in growth(units):
        members = units.members[step.unit]
        for vertex in members:
            if drawn := view.drawing.by_member.get(vertex):
                # Strides through the colour scale, so that consecutive segments differ clearly.
                bins[drawn] = step.segment * 4 % BINS
        name = _code(units.name(step.unit))
        text, line = {
            "starts": (f"Segment {step.segment} starts with {name}.", "line 7"),
            "joins": (
                f"{name} is the only consumer and not a joint: it joins segment {step.segment}.",
                "line 8",
            ),
            "ends": (f"Segment {step.segment} ends with {name}: {step.reason}.", "lines 8-10"),
        }[step.event]
        painted = Overlay("Segments", "viridis", dict(bins), ("", ""))
        yield LessonFrame(
            text, f"ASGNAS, Algorithm 2, {line}", painted | state_overlay(view, members, "current")
        )


def selection_frames(
    view: GraphView, space: SearchSpace, scores: Mapping[int, float], k: int
) -> Iterator[LessonFrame]:
    """Yield the candidates by ascending score, accepted or kept (ASGNAS, Algorithm 3, lines 6-10)."""
    for step in space.selection_steps(scores, k):
        structure = space.structure(step.structure)
        name = _code(structure.name)
        fate = f"selected as number {len(step.erased)} of {k}" if step.is_accepted else step.reason
        chosen = [v for i in step.erased for v in space.structure(i).vertices]
        yield LessonFrame(
            f"Lowest remaining score: {name} ({step.saliency:.3g}); {fate}.",
            f"ASGNAS, Algorithm 3, line {'9' if step.is_accepted else '8'}",
            state_overlay(view, chosen, "selected") | state_overlay(view, structure.vertices, "current"),
        )


def construction_frames(view: GraphView, space: SearchSpace, plan: ConstructionPlan) -> Iterator[LessonFrame]:
    """Yield the zeros, then the three passes of construction (ASGNAS, section 3.3)."""
    reasons = plan.erased
    by_pass = {why: [v for v in reasons if reasons[v] == why] for why in WHY}
    start = state_overlay(view, by_pass["selected"], "selected")
    yield LessonFrame(_zero(plan, space), "ASGNAS, section 3.3", start)

    gone = state_overlay(view, [*by_pass["selected"], *by_pass["orphaned"], *by_pass["gate"]], "erased")
    text = f"Pass 1 erases them and their edges: {len(by_pass['selected'])} vertices"
    if by_pass["orphaned"]:
        text += f", and {len(by_pass['orphaned'])} without input"
    if by_pass["gate"]:
        text += f"; gates are replaced by constants ({len(by_pass['gate'])} vertices)"
    yield LessonFrame(f"{text}.", "ASGNAS, section 3.3, first pass", gone)

    cut = [s.vertex for s in plan.slices]
    sliced = gone | state_overlay(view, cut, "sliced")
    sliced |= state_overlay(view, [v for v in plan.materialised if v in space.trace], "materialised")
    yield LessonFrame(_second_pass(plan), "ASGNAS, section 3.3, second pass", sliced)

    yield LessonFrame(_third_pass(plan, space), "ASGNAS, section 3.3, third pass", plan_overlay(view, plan))


def _zero(plan: ConstructionPlan, space: SearchSpace) -> str:
    named = [_code(space.structure(i).name) for i in plan.selected[:_MAX_NAMES]]
    more = f" and {len(plan.selected) - _MAX_NAMES} more" if len(plan.selected) > _MAX_NAMES else ""
    channels = f", and {len(plan.channels):,} channel groups" if plan.channels else ""
    return f"Zero: {', '.join(named) or 'no structures'}{more}{channels}."


def _code(name: str) -> str:
    """Return a name of the model as Markdown code, so that it is not interpreted."""
    return f"`{clean(name).replace('`', chr(39))}`"


def _second_pass(plan: ConstructionPlan) -> str:
    cuts = [f"{_code(s.tensor)} loses indices {ranges(s.rows)} of axis {s.dim}" for s in plan.slices]
    if not cuts:
        return "Pass 2 follows missing channels. There are none: additions only lose an operand."
    more = f", and {len(cuts) - _MAX_NAMES} more" if len(cuts) > _MAX_NAMES else ""
    return f"Pass 2 follows the missing channels to their consumers: {'; '.join(cuts[:_MAX_NAMES])}{more}."


def _third_pass(plan: ConstructionPlan, space: SearchSpace) -> str:
    dead = sum(why == "dead end" for why in plan.erased.values())
    bypassed = ", ".join(_code(space.trace[v].name) for v in list(plan.bypassed)[:_MAX_NAMES]) or "none"
    return (
        f"Pass 3 cleans up: {dead} dead ends are erased, joints with one operand are bypassed ({bypassed})."
        f" Parameters {count(plan.params_before)} → {count(plan.params_after)},"
        f" MACs {count(plan.macs_before)} → {count(plan.macs_after)}."
    )
