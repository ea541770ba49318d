"""Report on a sub-network as a self-contained HTML file with interactive graphs.

The file includes the graph viewer and its data; a content security policy prevents it from loading anything
else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from nasviz.catalog import metric_of
from nasviz.draw.labels import clean, count, plain_shape, power_of_ten, ranges
from nasviz.draw.overlay import Overlay, plan_overlay, saliency_overlay
from nasviz.draw.palette import STATES
from nasviz.draw.view import GraphView, segment_view, trace_view
from nasviz.draw.viewer import script, style_sheet
from nasviz.graph import ConstructionPlan, SearchSpace
from nasviz.settings import RunSettings

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["Section", "html_document", "html_report", "html_table", "subnetwork_report"]

Cell = str | int | float

_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
_STYLE = """
:root { color-scheme: light dark; --ink: #1f2937; --page: #ffffff; --soft: #f3f4f6; --line: #d9dee5; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8eaee; --page: #15181d; --soft: #22262d; --line: #3a404a; }
}
body { margin: 0 auto; padding: 28px 24px 60px; max-width: 1180px;
  background: var(--page); color: var(--ink);
  font: 16px/1.55 "Source Sans 3", "Segoe UI", "Helvetica Neue", Helvetica, Arial, sans-serif;
  --st-text-color: var(--ink); --st-background-color: var(--page); --st-border-color: var(--line);
  --st-secondary-background-color: var(--soft); --st-font: inherit; --st-primary-color: #2563eb; }
h1 { font-size: 30px; margin: 0 0 4px; } h2 { font-size: 21px; margin: 36px 0 10px; }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(210px, 1fr)); gap: 10px; margin: 14px 0; }
dl div { padding: 10px 14px; background: var(--soft); border-radius: 10px; }
dt { font-size: 14px; opacity: 0.75; } dd { margin: 0; font-size: 19px; font-weight: 600; }
.wide { overflow-x: auto; } figure { margin: 0; }
table { border-collapse: collapse; font-size: 14.5px; min-width: 60%; }
th, td { text-align: left; vertical-align: top; padding: 5px 14px 5px 0;
  border-bottom: 1px solid var(--line); }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
"""


@dataclass(frozen=True)
class Section:
    """Section of a report: a heading and optional content."""

    title: str
    text: str = ""
    facts: Sequence[tuple[str, str]] = ()
    table: Sequence[Mapping[str, Cell]] = ()
    """Rows with the same columns."""
    view: GraphView | None = None
    overlay: Overlay | None = None
    chart: go.Figure | None = None


def html_report(title: str, sections: Sequence[Section]) -> str:
    """Return a report as one HTML document, which is deterministic."""
    body = "\n".join(_section(number, section) for number, section in enumerate(sections))
    style = style_sheet("nasviz-graph", "graph.css")
    return html_document(title, body, style=style, module=script("report.js"))


def html_document(title: str, body: str, *, style: str, module: str) -> str:
    """Return a document that loads nothing.

    Args:
        title: Title and heading, as plain text.
        body: HTML after the heading.
        style: Style sheet, which may override the common one.
        module: Script, run as a module.
    """
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{_text(title)}</title>\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>{_STYLE}{style}</style></head>\n<body><h1>{_text(title)}</h1>\n{body}\n"
        f'<script type="module">{module}</script></body></html>\n'
    )


def subnetwork_report(
    title: str,
    space: SearchSpace,
    plan: ConstructionPlan,
    *,
    measured: Mapping[str, Any] | None = None,
    settings: RunSettings | None = None,
    scores: Mapping[int, float] | None = None,
    figures: Mapping[str, go.Figure] = MappingProxyType({}),
) -> str:
    """Return the report on one sub-network: savings, removed structures, settings, figures and graphs.

    Args:
        title: Heading of the report.
        space: Search space of the full network.
        plan: Construction plan of the sub-network.
        measured: Result of the construction or of the run: `max_relative_error`, and accuracies if measured.
        settings: Settings of the run that has trained the network, if one has.
        scores: Saliency of each structure at selection.
        figures: Figures of the run, by title.
    """
    trace = space.trace
    saved = (
        ("Parameters", _before_after(plan.params_before, plan.params_after)),
        ("MACs", _before_after(plan.macs_before, plan.macs_after)),
        ("Structures erased", f"{len(plan.selected) + len(plan.orphaned)} of {len(space.removable)}"),
        ("Input", ", ".join(plain_shape(i.shape) for i in trace.inputs)),
        *_measured(measured or {}),
        *([("Search method", settings.method.title)] if settings else []),
    )
    segments, operators = segment_view(space), trace_view(trace, space=space)
    cuts: list[dict[str, Cell]] = [
        {"tensor": clean(s.tensor), "axis": s.dim, "indices": ranges(s.rows), "number": len(s.rows)}
        for s in plan.slices
    ]
    sections = [
        Section("Summary", facts=saved),
        Section(
            "Removed parts",
            "Erased parts are dashed and struck through, sliced ones hatched. Select a vertex for details.",
            view=segments,
            overlay=plan_overlay(segments, plan),
        ),
        Section("Removal structures", table=_structures(space, plan, scores or {})),
        Section(
            "Sliced tensors",
            "Rows and columns removed along with the structures." if cuts else "None.",
            table=cuts,
        ),
        *(Section(name, chart=figure) for name, figure in figures.items()),
        Section("All operators", view=operators, overlay=plan_overlay(operators, plan)),
    ]
    if scores:
        painted = saliency_overlay(segments, space, scores)
        sections.insert(3, Section("Saliency", "Dark is redundant.", view=segments, overlay=painted))
    if settings:
        method = settings.method
        words = " ".join(filter(None, (f"{method.title}: {method.summary}", method.citation)))
        sections.append(Section("Method and settings", words, table=_settings(settings)))
    return html_report(title, sections)


def _measured(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = []
    if "max_relative_error" in result:
        found.append(("Difference from the zeroed full network", power_of_ten(result["max_relative_error"])))
    full, small = result.get("accuracy_full"), result.get("accuracy_subnet")
    if full is not None and small is not None:
        metric = metric_of(result)
        found.append((f"Validation {metric.title}", f"{metric.text(full)} → {metric.text(small)}"))
    return found


def _settings(settings: RunSettings) -> list[dict[str, Cell]]:
    """Return one row per setting of the run and of its method."""
    known = settings.fields() | settings.method.fields()
    values = settings.flat() | {"network": settings.network.title}
    return [
        {
            "setting": known[name].title if name in known else name,
            "name": name,
            "value": ", ".join(map(str, value)) if isinstance(value, list) else str(value),
        }
        for name, value in values.items()
        if value not in (None, [], {})
    ]


def _structures(
    space: SearchSpace, plan: ConstructionPlan, scores: Mapping[int, float]
) -> list[dict[str, Cell]]:
    fates = {**dict.fromkeys(plan.orphaned, "orphaned"), **dict.fromkeys(plan.selected, "selected")}
    rows: list[dict[str, Cell]] = []
    for s in space.structures:
        row: dict[str, Cell] = {"id": s.id, "structure": clean(s.name), "parameters": s.num_parameters}
        row["saliency"] = f"{scores[s.id]:.4g}" if s.id in scores else ""
        row["fate"] = fates.get(s.id) or (f"stays: {clean(s.reason)}" if s.reason else "stays")
        rows.append(row)
    for gate in (space.gate(i) for i in plan.gates):
        row = {
            "id": gate.id,
            "structure": clean(gate.name),
            "parameters": gate.num_parameters,
            "saliency": "",
        }
        rows.append(row | {"fate": f"gate: replaced by its value at zero, {gate.value:g}"})
    return rows


def _before_after(before: int, after: int) -> str:
    share = f" (−{1 - after / before:.1%})" if before else ""
    return f"{count(before)} → {count(after)}{share}"


def _section(number: int, section: Section) -> str:
    parts = [f"<section><h2>{_text(section.title)}</h2>"]
    if section.text:
        parts.append(f"<p>{_text(section.text)}</p>")
    if section.facts:
        pairs = "".join(f"<div><dt>{_text(k)}</dt><dd>{_text(v)}</dd></div>" for k, v in section.facts)
        parts.append(f"<dl>{pairs}</dl>")
    if section.table:
        parts.append(html_table(section.table))
    if section.chart is not None:
        from nasviz.draw.static_chart import (
            static_svg,  # with plotly, which reports without charts do not need
        )

        parts.append(f"<figure>{static_svg(section.chart)}</figure>")
    if section.view is not None:
        parts.append(_graph(f"graph-{number}", section.view, section.overlay))
    return "\n".join([*parts, "</section>"])


def html_table(rows: Sequence[Mapping[str, Cell]]) -> str:
    """Return rows with the same columns as an HTML table."""

    def cell(tag: str, value: Cell, sample: Cell) -> str:
        number = ' class="number"' if isinstance(sample, int | float) else ""
        text = f"{value:,}" if isinstance(value, int) else str(value)
        return f"<{tag}{number}>{_text(text)}</{tag}>"

    head = "".join(cell("th", name, rows[0][name]) for name in rows[0])
    body = "".join(f"<tr>{''.join(cell('td', value, value) for value in row.values())}</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _graph(name: str, view: GraphView, overlay: Overlay | None) -> str:
    if not view.svg:
        return f"<p>{_text(view.note)}</p>{html_table(view.table())}"
    painted = {"graph": name, "view": name, "overlay": overlay.payload() if overlay else None}
    states = [(m.name, m.meaning) for m in STATES.values() if m.name not in ("ancestor", "descendant")]
    data: dict[str, Any] = view.payload() | {"graph": name, "view": name, "height": 620, "states": states}
    # Escape "<", which could end the script element; JSON decodes it to the same text.
    text = json.dumps(data | {"painted": painted}).replace("<", "\\u003c")
    script_element = f'<script type="application/json" id="{name}">{text}</script>'
    return f'<div><div class="nasviz-graph" data-from="{name}"></div></div>{script_element}'


def _text(text: str) -> str:
    return escape(clean(text))
