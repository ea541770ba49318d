"""Replay of a run as one self-contained HTML page: player, graph, curves, heat map, sub-network at the end.

The page needs no server and loads nothing. Curves, heat map and events are sent once and cut in the browser;
what cannot be cut (facts, scores, colours of the graph) is sent for at most `MOMENTS` steps.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from html import escape
from typing import Any

import numpy as np

from nasviz.catalog import metric_of
from nasviz.draw.labels import clean, count, power_of_ten, settings_line
from nasviz.draw.live_frame import current, last_scores, live_frame, measured, states_overlay, until
from nasviz.draw.overlay import Overlay, plan_overlay, saliency_overlay
from nasviz.draw.palette import STATES
from nasviz.draw.report import html_document
from nasviz.draw.run_space import read_space
from nasviz.draw.view import GraphView, segment_view
from nasviz.draw.viewer import script, style_sheet
from nasviz.errors import ExportError
from nasviz.graph import ConstructionPlan, SearchSpace
from nasviz.runs import Run, Tail
from nasviz.runs.files import SEARCHED, SPACE, is_file

__all__ = ["MOMENTS", "replay_page"]

MOMENTS = 160
"""Maximum number of steps that can be looked at."""
EVENTS = 2000
_GRAPH = "graph"
_STYLE = """
body { max-width: none; padding: 14px 20px 24px; }
h1, .line { display: inline; margin: 0 12px 0 0; } h1 { font-size: 22px; } .line { opacity: 0.8; }
.player { display: flex; flex-wrap: wrap; align-items: center; gap: 8px 12px; margin: 10px 0; padding: 8px 0;
  position: sticky; top: 0; z-index: 6; background: var(--page); }
.player button, .player select { font: inherit; font-size: 15px; color: inherit; background: var(--soft);
  border: 1px solid var(--line); border-radius: 8px; padding: 5px 12px; cursor: pointer; }
.player button.play { min-width: 92px; font-weight: 600; }
.player input { flex: 1 1 240px; min-width: 160px; accent-color: var(--st-primary-color); }
.player output { min-width: 10ch; font-variant-numeric: tabular-nums; text-align: right; }
.scene { display: grid; grid-template-columns: minmax(0, 1fr); gap: 16px; }
.scene .facts { margin-left: 0; }
.scene .nasviz-live .curves { grid-template-columns: repeat(2, minmax(0, 1fr)); }
@media (min-width: 1100px) { .scene { grid-template-columns: minmax(0, 5fr) minmax(0, 4fr); } }
"""


def replay_page(
    run: Run, plan: ConstructionPlan | None = None, draw: Callable[[SearchSpace], GraphView] = segment_view
) -> str:
    """Return the replay of a run as one HTML document.

    Args:
        run: The run; it may still be active.
        plan: Construction plan of its sub-network, shown as the last moment.
        draw: Returns the segment graph of a search space, e.g. from a cache: layout can take a minute.

    Raises:
        ExportError: No step was recorded.
        DataError: The search space of the run is missing or damaged.
    """
    tail = run.tail()
    if not len(tail.steps):
        raise ExportError(f"run {run.id} is {run.state} and has recorded no step to replay; resume the run")
    is_derived = is_file(run.folder / SEARCHED)  # the sub-network is then of another network than the scores
    space, settings = read_space(run.folder / (SEARCHED if is_derived else SPACE)), run.settings
    vector = current(measured(settings, tail), tail)
    shown = replace(tail, scores=getattr(tail, vector.table))
    view = draw(space)
    names = {s.id: s.name for s in space.structures}
    whole = live_frame(shown, state=run.state, names=names, vector=vector)

    def moment(step: int) -> dict[str, Any]:
        now = until(shown, step)
        frame = live_frame(now, state="replay", vector=vector).payload()
        scores = saliency_overlay(view, space, last_scores(now), vector.label)
        kept = {name: frame[name] for name in ("phase", "step", "facts", "states", "scores")}
        return kept | {"overlay": _packed(view, scores | states_overlay(view, space, now, vector))}

    moments = [moment(step) for step in _steps(shown)]
    if plan is not None:
        last = moments[-1] | {"phase": "sub-network", "facts": _savings(run, plan)}
        moments.append(last if is_derived else last | {"overlay": _packed(view, plan_overlay(view, plan))})
    states = [(m.name, m.meaning) for m in STATES.values() if m.name not in ("ancestor", "descendant")]
    data = {
        "graph": view.payload() | {"graph": _GRAPH, "view": _GRAPH, "height": 560, "states": states},
        "rows": whole.rows(),
        "frame": whole.payload(),
        "events": [(e.step, clean(e.kind), clean(e.text)) for e in tail.events[-EVENTS:]],
        "moments": moments,
    }
    packed = base64.b64encode(gzip.compress(json.dumps(data).encode(), 9, mtime=0)).decode()
    title = run.labels.name or settings.network.title
    body = (
        f'<p class="line">{escape(clean(settings_line(settings)))}</p>'
        '<div class="player" role="group" aria-label="Player"></div>'
        '<div class="scene"><div><div class="nasviz-graph"></div></div>'
        '<div><div class="nasviz-live"></div></div></div>'
        f'<script type="application/octet-stream" id="replay">{packed}</script>'
    )
    style = "\n".join(
        [style_sheet("nasviz-graph", "graph.css"), style_sheet("nasviz-live", "live.css"), _STYLE]
    )
    return html_document(title, body, style=style, module=script("replay.js"))


def _steps(tail: Tail) -> list[int]:
    """Return the steps that can be looked at: the start of each phase, steps with events, others evenly."""
    steps = tail.steps["step"]
    phases = tail.steps["phase"]
    even = np.linspace(0, len(steps) - 1, min(len(steps), MOMENTS)).round().astype(int)
    starts = np.flatnonzero(phases[1:] != phases[:-1]) + 1
    events = np.searchsorted(steps, sorted({e.step for e in tail.events}))
    first = [0, len(steps) - 1, *starts.tolist(), *events[events < len(steps)].tolist()]
    wanted = dict.fromkeys(first[: MOMENTS // 2])
    for place in even.tolist():
        if len(wanted) < MOMENTS:
            wanted.setdefault(place)
    return sorted({int(steps[place]) for place in wanted})


def _packed(view: GraphView, overlay: Overlay) -> dict[str, Any]:
    return overlay.packed([v.id for v in view.drawing.vertices])


def _savings(run: Run, plan: ConstructionPlan) -> Sequence[tuple[str, str]]:
    """Return what the sub-network saves, and how exactly it equals the zeroed network."""
    result = run.end.result if run.end is not None else {}
    facts = [
        ("parameters", f"{count(plan.params_before)} → {count(plan.params_after)}"),
        ("MACs", f"{count(plan.macs_before)} → {count(plan.macs_after)}"),
    ]
    if "max_relative_error" in result:
        facts.append(("difference from the zeroed network", power_of_ten(result["max_relative_error"])))
    if (accuracy := result.get("accuracy_subnet")) is not None:
        metric = metric_of(result)
        facts.append((f"validation {metric.title}", metric.text(accuracy)))
    return facts
