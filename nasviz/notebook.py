"""Networks, search spaces, sub-networks and runs in a notebook: HTML with a graph and a table, and a widget.

The widget is the graph viewer of the app, as one ES module that anywidget hands to Jupyter, VS Code, Colab
and marimo. A run is followed from a thread, so the widget changes while a cell trains.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape
from importlib import import_module
from typing import Any

from nasviz.draw import GraphView, Overlay, plan_overlay, saliency_overlay, segment_view, trace_view
from nasviz.draw.labels import clean
from nasviz.draw.live_frame import last_scores, live_frame, measured, states_overlay
from nasviz.draw.palette import STATES
from nasviz.draw.report import html_table
from nasviz.draw.run_space import read_space
from nasviz.draw.viewer import script, style_sheet
from nasviz.errors import ArgumentError, NasvizError
from nasviz.extras import require_package
from nasviz.graph import SearchSpace, TraceGraph
from nasviz.runs import Run, Tail
from nasviz.runs.files import SPACE, is_file
from nasviz.runs.tail import Follower
from nasviz.settings import SALIENCY

__all__ = ["html", "view"]

_ROWS = 20
_REFRESH_S = 0.5
_RUN_ROWS = 1500
_GRAPH = "graph"
_AT_WORK = ("created", "running", "paused")
# Colours of the notebook, with those of a white page where it names none; the viewer's styles read these.
_THEME = """
.nasviz-widget { --st-text-color: var(--jp-content-font-color1, var(--vscode-foreground, #1f2937));
  --st-background-color: var(--jp-layout-color0, var(--vscode-editor-background, #ffffff));
  --st-secondary-background-color: var(--jp-layout-color2, var(--vscode-sideBar-background, #f3f4f6));
  --st-border-color: var(--jp-border-color2, var(--vscode-widget-border, #d9dee5));
  --st-font: inherit; --st-primary-color: #2563eb; display: flex; flex-direction: column; gap: 12px; }
"""


# ---- what is shown of an object ----


def html(thing: Any) -> str:
    """Return HTML of an object: one line, its graph as SVG, and the first rows of its table.

    Args:
        thing: Search space, trace graph, traced network, sub-network or run.
    """
    space = _space_of(thing)
    parts = [f"<p>{escape(clean(_title(thing)))}</p>"]
    if space is not None:
        drawn, _ = _drawn(thing, space)
        parts.append(f'<div style="max-height:480px;overflow:auto">{drawn.svg}</div>' if drawn.svg else "")
    rows = _rows(thing)
    if rows:
        parts.append(html_table(rows[:_ROWS]))
        more = len(rows) - _ROWS
        parts.append(f"<p>… and {more:,} more rows: see <code>.table()</code></p>" if more > 0 else "")
    return "\n".join(filter(None, parts))


def _title(thing: Any) -> str:
    return repr(getattr(thing, "report", None) or thing)


def _rows(thing: Any) -> Sequence[Mapping[str, Any]]:
    if isinstance(thing, Run):
        return [
            {"step": e.step, "network": e.network, "loss": e.loss, "accuracy": e.accuracy}
            for e in thing.tail().evaluations
        ]
    for holder in (thing, getattr(thing, "report", None)):
        if (rows := getattr(holder, "rows", None)) is not None:
            found: Sequence[Mapping[str, Any]] = rows()
            return found
    return []


def _space_of(thing: Any) -> SearchSpace | TraceGraph | None:
    """Return what is drawn of an object; None for a run that has not traced its network yet.

    Raises:
        ArgumentError: Nothing can be drawn of it.
    """
    if isinstance(thing, SearchSpace | TraceGraph):
        return thing
    if isinstance(thing, Run):
        path = thing.folder / SPACE
        return read_space(path) if is_file(path) else None
    for name in ("space", "trace_graph"):  # of a sub-network, of a traced network
        if isinstance(found := getattr(thing, name, None), SearchSpace | TraceGraph):
            return found
    raise ArgumentError(
        f"a {type(thing).__name__} cannot be shown; give a search space, a traced network, a sub-network or a"
        " run"
    )


def _drawn(thing: Any, space: SearchSpace | TraceGraph) -> tuple[GraphView, Overlay | None]:
    if isinstance(space, TraceGraph):
        return trace_view(space), None
    drawn, plan = segment_view(space), getattr(thing, "plan", None)
    return drawn, (plan_overlay(drawn, plan) if plan is not None and not callable(plan) else None)


# ---- widget ----


def view(thing: Any, *, height: int = 560) -> Any:
    """Return an interactive widget of an object: pan, zoom, search, select.

    A run is followed while it is active: curves, heat map and colours of the graph change by themselves, also
    while the cell trains.

    Args:
        thing: Search space, trace graph, traced network, sub-network, run, or recorder of a run.
        height: Height of the graph in pixels.

    Raises:
        MissingPackageError: anywidget is not installed.
        ArgumentError: Nothing can be drawn of the object.

    Examples:
        >>> import nasviz, torch
        >>> model, example_inputs = nasviz.zoo.create("demonet", width=0.1)
        >>> widget = view(nasviz.search_space(nasviz.trace(model, example_inputs)))
        >>> widget.graph["title"]
        'Segment graph of DemoNet'
    """
    thing = getattr(thing, "run", thing)  # of a recorder
    space = _space_of(thing)
    widget = _widget_class()(_height=height)
    if space is not None:
        drawn, overlay = _drawn(thing, space)
        widget.graph, widget.painted = _payload(drawn, height), _painted(drawn, overlay)
    if isinstance(thing, Run):
        follower = _RunFollower(widget, thing, height)
        follower.refresh()
        threading.Thread(target=follower.follow, daemon=True).start()
    return widget


def _payload(drawn: GraphView, height: int) -> dict[str, Any]:
    states = [(m.name, m.meaning) for m in STATES.values() if m.name not in ("ancestor", "descendant")]
    more = {"graph": _GRAPH, "view": drawn.fingerprint, "height": height, "states": states}
    return drawn.payload() | more


def _painted(drawn: GraphView, overlay: Overlay | None) -> dict[str, Any]:
    packed = None if overlay is None else overlay.packed([v.id for v in drawn.drawing.vertices])
    return {"graph": _GRAPH, "view": drawn.fingerprint, "overlay": packed, "selected": None, "about": []}


class _RunFollower:
    """Copies the record of a run into a widget as it grows."""

    def __init__(self, widget: Any, run: Run, height: int) -> None:
        self.widget, self.run, self.height = widget, run, height
        self.records = Follower(run.folder, _RUN_ROWS)
        self.space: SearchSpace | None = None
        self.drawn: GraphView | None = None
        self.tail: Tail | None = None

    def follow(self) -> None:
        """Refresh until the run has ended or the widget is closed; the last state stays."""
        while not self.widget.closing.wait(_REFRESH_S):
            try:
                is_at_work = self.run.state in _AT_WORK  # before the records: the last are then read too
                self.refresh()
                if not is_at_work:
                    return
            except NasvizError as error:  # the run was deleted or damaged: said in place of its state
                self.widget.problem = clean(str(error))
                return

    def refresh(self) -> None:
        """Send what has changed since the last call."""
        if self.space is None:
            found = _space_of(self.run)
            if isinstance(found, SearchSpace):
                self.space, self.drawn = found, segment_view(found)
                self.widget.graph = _payload(self.drawn, self.height)
                self.widget.rows = [(s.id, s.name) for s in found.structures]
        state, tail = self.run.state, self.records.read()
        if tail is self.tail and state == (self.widget.frame or {}).get("state"):
            return
        self.tail = tail
        vector = next(iter(measured(self.run.settings, tail)), SALIENCY)
        shown = replace(tail, scores=getattr(tail, vector.table))
        names = {} if self.space is None else {s.id: s.name for s in self.space.structures}
        self.widget.frame = live_frame(shown, state=state, names=names, vector=vector).payload()
        if self.space is not None and self.drawn is not None:
            scores = saliency_overlay(self.drawn, self.space, last_scores(shown), vector.label)
            states = states_overlay(self.drawn, self.space, shown, vector)
            self.widget.painted = _painted(self.drawn, scores | states)


_made: list[Any] = []


def _widget_class() -> Any:
    """Return the class of the widget, which needs anywidget and is made on first use."""
    if _made:
        return _made[0]
    anywidget = require_package("anywidget", "nasviz.view")
    traitlets = import_module("traitlets")  # which anywidget depends on

    class Viewer(anywidget.AnyWidget):  # type: ignore[misc, name-defined]
        """Graph view and live view of one object."""

        _esm = script("widget.js")
        _css = "\n".join(
            [_THEME, style_sheet("nasviz-graph", "graph.css"), style_sheet("nasviz-live", "live.css")]
        )
        _height = traitlets.Int(560).tag(sync=True)
        graph = traitlets.Any(None).tag(sync=True)
        painted = traitlets.Any(None).tag(sync=True)
        rows = traitlets.List().tag(sync=True)
        frame = traitlets.Any(None).tag(sync=True)
        selected = traitlets.Unicode("").tag(sync=True)
        """Kind and key of the vertex that was selected last, such as "segment 3"."""
        problem = traitlets.Unicode("").tag(sync=True)

        def __init__(self, **values: Any) -> None:
            self.closing = threading.Event()
            super().__init__(**values)

        def __repr__(self) -> str:
            return f"Viewer({(self.graph or {}).get('title', 'no graph yet')!r})"

        def close(self) -> None:
            """Remove the widget, and stop following its run."""
            self.closing.set()
            super().close()

    _made.append(Viewer)
    return Viewer
