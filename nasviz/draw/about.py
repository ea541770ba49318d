"""What is told of the one vertex that was chosen, besides its record: its group, what goes with it, its past.

A record is made for every vertex of a drawing; this is made for one, when it is chosen, so it may look
further: into the plan of its removal, and into what a run has measured of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nasviz.draw.drawing import DrawnVertex
from nasviz.draw.labels import clean, plain_shape, ranges
from nasviz.graph import SearchSpace
from nasviz.graph.structures.discovery import RemovalStructure
from nasviz.runs.records import Vectors

__all__ = ["About", "about", "history"]

POINTS = 72
"""Of a sparkline: about one for every three pixels."""
_SHOWN = 12
"""Slices that are named; the page Dependency graph has them all in a table."""


@dataclass(frozen=True, slots=True)
class About:
    """Told of one vertex, on top of its record."""

    id: str
    """Opaque id in the view."""
    vertex: str
    """The vertex of the trace graph that an address names it by."""
    fields: tuple[tuple[str, str], ...] = ()
    structure: int | None = None
    history: tuple[tuple[int, float], ...] = ()
    """Step and value, ascending."""
    measure: str = "Saliency"
    """What the history is of."""
    is_protected: bool | None = None
    """None where there is nothing to protect."""

    def scored(self, scores: Vectors | None, measure: str) -> About:
        """The same with what a run on the same space has measured so far."""
        if scores is None or self.structure is None:
            return self
        return replace(self, history=history(scores, self.structure), measure=measure)

    def payload(self) -> dict[str, Any]:
        """Everything for the browser."""
        return {
            "id": self.id,
            "vertex": self.vertex,
            "fields": self.fields,
            "history": self.history,
            "measure": self.measure,
            "protected": self.is_protected,
        }


def about(vertex: DrawnVertex, space: SearchSpace) -> About:
    """Look up what a chosen vertex owns and what goes with it; costs a plan of its removal.

    Args:
        vertex: Of any drawing.
        space: The search space that is drawn.
    """
    if not vertex.members:
        return About(vertex.id, vertex.key)
    homes = {space.segments.of(member).id for member in vertex.members}
    home = homes.pop() if len(homes) == 1 else None
    structures = {s.id: s for s in space.structures}
    structure = structures.get(home) if home is not None else None
    if structure is None:
        return About(vertex.id, vertex.members[0])
    is_protected = structure.id in space.protected
    return About(
        vertex.id,
        vertex.members[0],
        (("Group", _group(space, structure)), *_goes_with_it(space, structure)),
        structure=structure.id,
        is_protected=is_protected if structure.is_removable or is_protected else None,
    )


def history(scores: Vectors, structure: int) -> tuple[tuple[int, float], ...]:
    """What was measured of one structure, thinned; empty where nothing was."""
    if structure not in scores.structures:
        return ()
    values = scores.values[:, scores.structures.index(structure)]
    known = np.flatnonzero(np.isfinite(values))
    if len(known) > POINTS:
        known = known[np.linspace(0, len(known) - 1, POINTS).round().astype(int)]
    return tuple((int(scores.steps[i]), float(f"{values[i]:.4g}")) for i in known)


def _group(space: SearchSpace, structure: RemovalStructure) -> str:
    """Its own parameters, whole tensors: what is scored, and brought to zero."""
    names = structure.parameter_names
    shown = [f"{clean(name)} {plain_shape(space.trace.parameter_shapes[name])}" for name in names[:6]]
    more = [f"and {len(names) - 6} more"] if len(names) > 6 else []
    return f"{structure.num_parameters:,} numbers: {'; '.join([*shown, *more])}"


def _goes_with_it(space: SearchSpace, structure: RemovalStructure) -> list[tuple[str, str]]:
    """Every slice of a tensor that goes when the structure goes; nothing where it stays."""
    if not structure.is_removable or not space.is_valid([structure.id]):
        return []
    plan = space.plan([structure.id])
    cuts = [f"{clean(cut.tensor)} {_axis(cut.dim)} {ranges(cut.rows)}" for cut in plan.slices]
    more = [f"and {len(cuts) - _SHOWN} more"] if len(cuts) > _SHOWN else []
    lines = [("Slices that go", "; ".join([*cuts[:_SHOWN], *more]) or "none: no other tensor is cut")]
    if plan.orphaned:
        names = {s.id: clean(s.name) for s in space.segments}
        lines.append(("Orphaned", ", ".join(names[i] for i in plan.orphaned)))
    return lines


def _axis(dim: int) -> str:
    return {0: "rows", 1: "columns"}.get(dim, f"axis {dim},")
