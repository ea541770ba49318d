"""Details of the selected vertex, in addition to its record: its group, removal plan and history.

A record is created for every vertex of a drawing. These details are computed only for the selected one, so
they may cost more: they include the plan of its removal and the scores that a run has recorded.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nasviz.draw.drawing import DrawnVertex
from nasviz.draw.labels import clean, plain_shape, ranges
from nasviz.graph import SearchSpace
from nasviz.graph.structures import RemovalStructure
from nasviz.runs.records import Vectors

__all__ = ["About", "about", "history"]

POINTS = 72
"""Maximum number of points of a sparkline, about one per three pixels."""
_MAX_SLICES = 12
"""Number of slices listed; the page Dependency graph has a table of all."""


@dataclass(frozen=True, slots=True)
class About:
    """Details of one vertex."""

    id: str
    """Id in the view."""
    vertex: str
    """Vertex of the trace graph that identifies it in an address."""
    fields: tuple[tuple[str, str], ...] = ()
    structure: int | None = None
    history: tuple[tuple[int, float], ...] = ()
    """Pairs of step and value, in ascending order."""
    measure: str = "Saliency"
    """Quantity shown in the history."""
    is_protected: bool | None = None
    """None if the vertex cannot be protected."""
    erase: str = ""
    """Label of the button that adds the vertex to the preview or removes it from there; empty if none."""

    def scored(self, scores: Vectors | None, measure: str) -> About:
        """Return a copy with the history that a run on the same space has recorded."""
        if scores is None or self.structure is None:
            return self
        return replace(self, history=history(scores, self.structure), measure=measure)

    def payload(self) -> dict[str, Any]:
        """Return all data for the browser."""
        return {
            "id": self.id,
            "vertex": self.vertex,
            "fields": self.fields,
            "history": self.history,
            "measure": self.measure,
            "protected": self.is_protected,
            "erase": self.erase,
        }


def about(vertex: DrawnVertex, space: SearchSpace) -> About:
    """Return the details of a vertex, which includes planning its removal.

    Args:
        vertex: A vertex of any drawing.
        space: The search space of the drawing.
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
        (("Group", _group(space, structure)), *_removal_lines(space, structure)),
        structure=structure.id,
        is_protected=is_protected if structure.is_removable or is_protected else None,
    )


def history(scores: Vectors, structure: int) -> tuple[tuple[int, float], ...]:
    """Return (step, value) of one structure, thinned to `POINTS`; empty if nothing was recorded."""
    if structure not in scores.structures:
        return ()
    values = scores.values[:, scores.structures.index(structure)]
    known = np.flatnonzero(np.isfinite(values))
    if len(known) > POINTS:
        known = known[np.linspace(0, len(known) - 1, POINTS).round().astype(int)]
    return tuple((int(scores.steps[i]), float(f"{values[i]:.4g}")) for i in known)


def _group(space: SearchSpace, structure: RemovalStructure) -> str:
    """Return a description of the parameters owned by a structure, which are scored and projected to zero."""
    names = structure.parameter_names
    shown = [f"{clean(name)} {plain_shape(space.trace.parameter_shapes[name])}" for name in names[:6]]
    more = [f"and {len(names) - 6} more"] if len(names) > 6 else []
    return f"{structure.num_parameters:,} parameters: {'; '.join([*shown, *more])}"


def _removal_lines(space: SearchSpace, structure: RemovalStructure) -> list[tuple[str, str]]:
    """Return the slices and orphans removed along with a structure; empty if it cannot be removed."""
    if not structure.is_removable or not space.is_valid([structure.id]):
        return []
    plan = space.plan([structure.id])
    cuts = [f"{clean(cut.tensor)} {_axis(cut.dim)} {ranges(cut.rows)}" for cut in plan.slices]
    more = [f"and {len(cuts) - _MAX_SLICES} more"] if len(cuts) > _MAX_SLICES else []
    lines = [("Removed slices", "; ".join([*cuts[:_MAX_SLICES], *more]) or "none: no other tensor is sliced")]
    if plan.orphaned:
        names = {s.id: clean(s.name) for s in space.segments}
        lines.append(("Orphaned", ", ".join(names[i] for i in plan.orphaned)))
    return lines


def _axis(dim: int) -> str:
    return {0: "rows", 1: "columns"}.get(dim, f"axis {dim},")
