"""State of a run at one moment for the live view: thinned curves, phases, a heat map of scores.

A frame contains everything that changes on screen and is small enough to be sent twice a second (below 50 KB
for any run, with the colours of its graph). A lost frame is harmless, and a time slider replays a run by
frames of its past. Names of structures do not change and are sent once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasviz.catalog import metric_of
from nasviz.catalog.metrics import titled
from nasviz.draw.labels import clean, count, shorten
from nasviz.draw.overlay import Overlay, state_overlay
from nasviz.draw.packing import pack_bins, pack_floats, pack_ints
from nasviz.draw.palette import BINS
from nasviz.draw.view import GraphView
from nasviz.graph import SearchSpace
from nasviz.graph.switches import strongest
from nasviz.runs import Tail
from nasviz.runs.documents import is_number
from nasviz.runs.records import Vectors, column, has_penalty
from nasviz.settings import SALIENCY, RunSettings, Vector

__all__ = [
    "LiveFrame",
    "StructureState",
    "current",
    "last_scores",
    "live_frame",
    "measured",
    "states_overlay",
    "structure_states",
    "until",
]

POINTS = 320
"""Maximum number of points of each of four curves, about one per pixel; with more curves fewer."""
LEAST_OF_PHASE = 8
"""Points of each curve that a phase has at least, if it has as many steps."""
COLUMNS = 160
CELLS = 14_000
"""Maximum number of cells of a heat map; with many structures it has fewer columns."""
EVENTS = 40
NOT_MEASURED = 255
CURVES = ("loss", "accuracy", "lr", "zero_groups")
PENALISED = ("objective", "penalty")
"""Further curves of methods that add a penalty to the loss."""
_MOST_METRICS = 12
_MARKS = {"selected": "selected", "orphaned": "selected", "zero": "zero"}
"""State of a structure during training, and the state in which it is drawn."""
TITLES = {"loss": "Loss", "accuracy": "Accuracy", "lr": "Learning rate", "zero_groups": "Zero structures"}
TITLES |= {"objective": "Loss with penalty", "penalty": "Penalty"}


@dataclass(frozen=True, slots=True)
class StructureState:
    """One row of the heat map."""

    id: int
    name: str
    state: str
    """`alive`, `selected`, `orphaned` or `zero`."""
    score: float | None


@dataclass(frozen=True, slots=True)
class LiveFrame:
    """State of a run at one moment."""

    state: str
    phase: str
    step: int
    total_steps: int
    facts: tuple[tuple[str, str], ...]
    phases: tuple[tuple[str, int, int], ...]
    """Name, first step and last step of each phase so far."""
    curves: tuple[Mapping[str, Any], ...]
    structures: tuple[StructureState, ...]
    heat_steps: tuple[int, ...]
    heat: bytes
    """Bins in row-major order, one byte each; 255 if not measured."""
    events: tuple[tuple[int, str, str], ...]
    vector: Vector = SALIENCY
    """Name of the scores."""

    def rows(self) -> list[tuple[int, str]]:
        """Return id and name of each structure, which do not change between frames."""
        return [(s.id, s.name) for s in self.structures]

    def payload(self) -> dict[str, Any]:
        """Return all data for the browser except the rows; numbers are packed."""
        scores = [np.nan if s.score is None else s.score for s in self.structures]
        return {
            "state": self.state,
            "phase": self.phase,
            "step": self.step,
            "total": self.total_steps,
            "facts": self.facts,
            "phases": self.phases,
            "curves": [_packed_curve(curve) for curve in self.curves],
            "states": "".join(s.state[0] for s in self.structures),
            "scores": pack_floats(scores),
            "columns": self.heat_steps,
            "heat": pack_bins(np.frombuffer(self.heat, np.uint8)),
            "events": self.events,
            "measure": self.vector.label,
            "ends": (self.vector.low, self.vector.high),
        }


def _packed_curve(curve: Mapping[str, Any]) -> dict[str, Any]:
    steps, values = zip(*curve["points"], strict=True) if curve["points"] else ((), ())
    return {**curve, "points": [pack_ints(steps), pack_floats(values)]}


def live_frame(
    tail: Tail,
    *,
    state: str = "running",
    names: Mapping[int, str] | None = None,
    vector: Vector = SALIENCY,
    more: tuple[tuple[str, str], ...] = (),
) -> LiveFrame:
    """Return the frame of a tail. O(rows of the tail).

    Args:
        tail: All of a run, or all up to a moment (`until`).
        state: Of the run, as the store tells it.
        names: Of the structures, by id.
        vector: What its scores are.
        more: Facts, name and text, to be told beside those of every run.
    """
    steps = tail.steps
    last = steps[-1] if len(steps) else None
    heat_steps, heat = _heat(tail.scores)
    names_of_curves = (*CURVES, *PENALISED) if has_penalty(tail) else CURVES
    most = POINTS * len(CURVES) // len(names_of_curves)  # as many points in all
    return LiveFrame(
        state=state,
        phase=str(last["phase"]) if last is not None else "",
        step=int(last["step"]) if last is not None else -1,
        total_steps=tail.total_steps or 0,
        facts=(*_facts(tail), *_remaining_time(tail, state), *more),
        phases=_phases(tail),
        curves=tuple(_curve(tail, name, most) for name in names_of_curves),
        structures=structure_states(tail, names or {}, vector),
        heat_steps=heat_steps,
        heat=heat,
        events=tuple((e.step, clean(e.kind), clean(e.text)) for e in tail.events[-EVENTS:]),
        vector=vector,
    )


def until(tail: Tail, step: int) -> Tail:
    """Return the tail as it was after `step`."""
    rows = tail.steps[tail.steps["step"] <= step]
    return replace(
        tail,
        steps=rows.view(np.recarray),
        scores=_vectors_until(tail.scores, step),
        norms=_vectors_until(tail.norms, step),
        cosines=_vectors_until(tail.cosines, step),
        evaluations=tuple(e for e in tail.evaluations if e.step <= step),
        events=tuple(e for e in tail.events if e.step <= step),
        last_step=min(step, tail.last_step),
    )


def measured(settings: RunSettings, tail: Tail) -> list[Vector]:
    """Return the measures of the method that were recorded so far, the default first."""
    declared = settings.method.vectors(settings.kept_edges)
    return [vector for vector in declared if len(getattr(tail, vector.table).steps)]


def current(vectors: Sequence[Vector], tail: Tail) -> Vector:
    """Return the measure that was recorded last, the first of several: the one that still changes."""
    newest = [getattr(tail, vector.table).steps[-1] for vector in vectors]
    return vectors[int(np.argmax(newest))] if vectors else SALIENCY


def last_scores(tail: Tail, vectors: Vectors | None = None) -> dict[int, float]:
    """Return the latest finite score of each structure.

    Args:
        tail: Record of a run.
        vectors: Vectors to use instead of the scores, e.g. the norms.
    """
    found = tail.scores if vectors is None else vectors
    known = np.isfinite(found.values)
    newest = len(known) - 1 - known[::-1].argmax(axis=0) if len(known) else []
    return {
        structure: float(found.values[row, column])
        for column, (structure, row) in enumerate(zip(found.structures, newest, strict=False))
        if known[row, column]
    }


def _vectors_until(vectors: Vectors, step: int) -> Vectors:
    kept = vectors.steps <= step
    return Vectors(vectors.steps[kept], vectors.values[kept], vectors.structures)


def _facts(tail: Tail) -> tuple[tuple[str, str], ...]:
    """Return the latest values as text, without those that were not measured."""
    if not len(tail.steps):
        return ()
    last = tail.steps[-1]
    recent = tail.steps["examples_per_second"][-50:]
    speed = float(np.mean(recent[np.isfinite(recent)])) if np.isfinite(recent).any() else float("nan")
    metric = metric_of(tail.facts)
    facts = [("epoch", str(int(last["epoch"]) + 1))]
    for name, value in (("loss", last["loss"]), ("accuracy", last["accuracy"])):
        if not (np.isnan(value) and np.isnan(tail.steps[name]).all()):
            facts.append((metric.title, metric.text(value)) if name == "accuracy" else (name, f"{value:.4g}"))
    validated = [e for e in tail.evaluations if e.network == "full"]
    if validated:
        facts.append((f"validation {metric.title}", metric.text(validated[-1].accuracy)))
        for name, value in [*(validated[-1].metrics or {}).items()][:_MOST_METRICS]:
            if name != metric.name and (other := titled(name)) is not None:
                facts.append((f"validation {other.title}", other.text(value)))
    if np.isfinite(speed):
        facts.append(("examples per second", count(round(speed))))
    if np.isfinite(last["memory_mb"]):
        facts.append(("memory", f"{last['memory_mb']:,.0f} MB"))
    gpu = tail.facts.get("gpu")
    if isinstance(gpu, Mapping) or str(tail.facts.get("device", "")).startswith("cuda"):
        facts.append(("GPU", _gpu(gpu) if isinstance(gpu, Mapping) else "-"))
    return (*facts, ("zero structures", str(int(last["zero_groups"]))))


def _remaining_time(tail: Tail, state: str) -> tuple[tuple[str, str], ...]:
    """Return the estimated remaining time, or nothing if the run is not active."""
    steps = tail.steps
    if state != "running" or not tail.total_steps or not len(steps):
        return ()
    # A thinned tail keeps every n-th row, but each row has the seconds of a single step.
    recent = steps["seconds"][-50:]
    num_left = tail.total_steps - 1 - int(steps["step"][-1])
    if num_left <= 0 or not np.isfinite(recent).any():
        return ()
    return (("left", format_duration(num_left * float(np.nanmean(recent)))),)


def format_duration(seconds: float) -> str:
    """Return a duration as rounded text.

    Examples:
        >>> format_duration(42), format_duration(400), format_duration(9000)
        ('about 42 s', 'about 7 min', 'about 2.5 h')
    """
    if seconds < 90:
        return f"about {max(1, round(seconds))} s"
    return f"about {round(seconds / 60)} min" if seconds < 5400 else f"about {seconds / 3600:.1f} h"


def _gpu(found: Mapping[str, Any]) -> str:
    """Return name, memory and utilization of a GPU; a dash if the driver does not report the latter."""
    names = ("memory_used_mb", "memory_total_mb", "utilisation")
    used, total, share = (x if is_number(x := found.get(name)) else None for name in names)
    busy = ["- busy" if share is None else f"{share:.0%} busy"]
    memory = [] if used is None or total is None else [f"{used / 1024:.1f} of {total / 1024:.0f} GB"]
    name = found.get("name")
    known = [shorten(clean(name), 30)] if isinstance(name, str) and name else []
    return ", ".join(known + busy + memory)


def _phases(tail: Tail) -> tuple[tuple[str, int, int], ...]:
    phases, steps = tail.steps["phase"], tail.steps["step"]
    if not len(phases):
        return ()
    starts = [0, *(np.flatnonzero(phases[1:] != phases[:-1]) + 1).tolist()]
    ends = [*(start - 1 for start in starts[1:]), len(phases) - 1]
    return tuple((str(phases[a]), int(steps[a]), int(steps[b])) for a, b in zip(starts, ends, strict=True))


def _curve(tail: Tail, name: str, most: int) -> dict[str, Any]:
    """Return one column as a curve of about `most` means, which also reduces noise.

    A mean stands at the last of its steps, so that a curve cut at a step shows nothing of later ones.
    """
    steps, values = tail.steps["step"], column(tail.steps, name)
    groups = _groups(tail.steps["phase"], most)
    ends = np.append(groups[1:], len(steps)) - 1
    finite = np.isfinite(values)
    sums = np.add.reduceat(np.where(finite, values, 0.0), groups) if len(groups) else np.empty(0)
    numbers = np.add.reduceat(finite.astype(float), groups) if len(groups) else np.empty(0)
    if name in ("lr", "zero_groups") and len(groups):
        # Piecewise constant: means would blur the steps, so take the last value of each part.
        means, known = values[ends], finite[ends]
    else:
        known = numbers > 0
        means = np.divide(sums, numbers, out=np.zeros_like(sums), where=known)
    shown = zip(steps[ends][known].tolist() if len(groups) else [], means[known].tolist(), strict=True)
    points = [[int(step), _short(value)] for step, value in shown]
    marks = [
        [e.step, _short(getattr(e, name)), e.network]
        for e in tail.evaluations
        if name in ("loss", "accuracy") and np.isfinite(getattr(e, name))
    ]
    title = metric_of(tail.facts).capitalized if name == "accuracy" else TITLES[name]
    return {"name": name, "title": title, "points": points, "marks": marks}


def _groups(phases: NDArray[Any], most: int) -> NDArray[np.intp]:
    """Return the first rows of about `most` groups, none of which crosses the boundary of a phase."""
    if not len(phases):
        return np.empty(0, np.intp)
    starts = np.concatenate([[0], np.flatnonzero(phases[1:] != phases[:-1]) + 1, [len(phases)]])
    least = min(LEAST_OF_PHASE, most // len(starts))  # phases may alternate
    return np.concatenate(
        [
            np.linspace(a, b, max(1, min(b - a, max(least, most * (b - a) // len(phases)))), endpoint=False)
            for a, b in pairwise(starts.tolist())
        ]
    ).astype(np.intp)


def _short(value: float) -> float:
    return float(f"{value:.5g}")


def structure_states(
    tail: Tail, names: Mapping[int, str], vector: Vector = SALIENCY
) -> tuple[StructureState, ...]:
    """Return what has become of each structure so far, in the order of the scores; names are shortened."""
    states: dict[int, str] = {}
    for event in tail.events:
        if event.structure is not None and event.kind in ("redundant", "selected", "orphaned"):
            states[event.structure] = "orphaned" if event.kind == "orphaned" else "selected"
    if len(tail.norms.values):
        zero = tail.norms.values[-1] == 0
        states |= {s: "zero" for s, is_zero in zip(tail.norms.structures, zero, strict=True) if is_zero}
    scores = last_scores(tail)
    if (limit := vector.zero_at) is not None:
        states |= {s: "zero" for s, value in scores.items() if abs(value) <= limit}
    return tuple(
        StructureState(
            s,
            shorten(names.get(s, f"structure {s}"), 30),
            states.get(s, "alive"),
            _short(scores[s]) if s in scores else None,
        )
        for s in tail.scores.structures
    )


def _heat(scores: Vectors) -> tuple[tuple[int, ...], bytes]:
    """Return steps and bins of the heat map; bins are quantiles, so that outliers do not flatten it."""
    if not scores.values.size:
        return (), b""
    columns = max(2, min(COLUMNS, CELLS // len(scores.structures)))
    size = -(-len(scores.steps) // columns)
    # Take the last row of each part, so that the latest scores are always the last column.
    rows = np.arange(len(scores.steps) - 1, -1, -size)[::-1]
    values: NDArray[np.float32] = scores.values[rows]
    finite = np.isfinite(values)
    limits = np.quantile(values[finite], np.arange(1, BINS) / BINS) if finite.any() else np.zeros(BINS - 1)
    bins = np.searchsorted(limits, values, side="right")
    bins = np.where(finite, bins, NOT_MEASURED).astype(np.uint8)
    return tuple(int(step) for step in scores.steps[rows]), bins.T.tobytes()


def states_overlay(view: GraphView, space: SearchSpace, tail: Tail, vector: Vector = SALIENCY) -> Overlay:
    """Return the overlay of selected and zero structures of a run.

    If the scores are weights of operations, the strongest operation of each edge is marked as well.
    """
    layers = [
        state_overlay(view, space.segments[structure.id].vertices, _MARKS[structure.state])
        for structure in structure_states(tail, {}, vector)
        if structure.state in _MARKS
    ]
    if vector.weighs:
        leading = strongest(space.switches, last_scores(tail))
        vertices = space.segments.vertices_of(leading)
        layers.append(state_overlay(view, vertices, "leading"))
    return reduce(Overlay.__or__, layers, Overlay())
