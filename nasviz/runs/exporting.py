"""Export of recorded runs: CSV of the steps, and one JSON document of everything."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from nasviz.runs.listing import RunSummary
from nasviz.runs.records import STEP_TYPE, Vectors
from nasviz.runs.run import Run

__all__ = ["cell", "steps_to_csv", "summaries_to_csv", "summaries_to_rows", "to_document"]


def steps_to_csv(run: Run) -> str:
    """Return a CSV table with one row per step."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(STEP_TYPE.names or ())
    rows.writerows([cell(value) for value in row] for row in run.tail().steps.tolist())
    return text.getvalue()


def summaries_to_rows(summaries: Iterable[RunSummary | None]) -> list[dict[str, Any]]:
    """Return one row per run: settings, state and result."""
    rows = []
    for summary in summaries:
        if summary is None or summary.settings is None:
            continue
        settings = {
            name: json.dumps(value) if isinstance(value, list | dict) else value
            for name, value in summary.settings.flat().items()
            if name != "network"
        }
        result = {name: v for name, v in summary.result.items() if isinstance(v, int | float | str | bool)}
        rows.append(
            {
                "id": summary.id,
                "parent": summary.parent or "",
                "name": summary.labels.name,
                "tags": ", ".join(summary.labels.tags),
                "state": summary.state,
                "created": summary.created,
                "step": summary.step,
                "total_steps": summary.total_steps,
                "error": summary.error or "",
                "network": summary.settings.network.name,
                "network_settings": json.dumps(dict(summary.settings.network.settings)),
            }
            | {f"setting.{name}": value for name, value in settings.items()}
            | {f"result.{name}": value for name, value in result.items()}
        )
    return rows


def summaries_to_csv(summaries: Iterable[RunSummary | None]) -> str:
    """Return a CSV table with one row per run; cells of columns that a run does not have are empty."""
    rows = summaries_to_rows(summaries)
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    lines = csv.DictWriter(text, names, lineterminator="\n")
    lines.writeheader()
    lines.writerows({name: cell(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def to_document(run: Run) -> dict[str, Any]:
    """Return the complete record of a run as plain data.

    NaN and infinities become None, so that the document is strict JSON.
    """
    tail, end = run.tail(), run.end
    columns = {name: _plain(tail.steps[name].tolist()) for name in STEP_TYPE.names or ()}
    return {
        "id": run.id,
        "config": run.config,
        "environments": run.environments,
        "total_steps": tail.total_steps,
        "steps": columns,
        "scores": _vectors(tail.scores),
        "norms": _vectors(tail.norms),
        "cosines": _vectors(tail.cosines),
        "evaluations": [{k: _plain(v) for k, v in asdict(e).items()} for e in tail.evaluations],
        "events": [asdict(event) for event in tail.events],
        "end": asdict(end) if end else None,
    }


def _vectors(vectors: Vectors) -> dict[str, Any]:
    return {
        "steps": vectors.steps.tolist(),
        "structures": list(vectors.structures),
        "values": _plain(vectors.values.tolist()),
    }


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    is_finite = not isinstance(value, float) or abs(value) < float("inf")
    return value if is_finite else None


_STARTS = tuple("=+-@\uff1d\uff0b\uff0d\uff20")
"""Characters that start a formula, including their full-width forms."""


def cell(value: Any) -> Any:
    r"""Return the cell to write for a value, escaped if it is text that looks like a formula.

    Examples:
        >>> cell("=1+1"), cell(-0.5), cell("plain"), cell("\t=1")
        ("'=1+1", -0.5, 'plain', "'\t=1")
    """
    if not isinstance(value, str) or not value:
        return value
    # A bare carriage return is not quoted by the csv module, and would start a new row.
    value = value.replace("\r\n", "\n").replace("\r", "\n")
    is_formula = value.startswith(_STARTS) or (not value[0].isprintable())
    return f"'{value}" if is_formula else value
