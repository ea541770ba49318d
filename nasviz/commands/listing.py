"""`nasviz runs list` and `nasviz runs show`: what the files of runs say, for people and for programs."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from typing import Any

from nasviz.catalog import NetworkSource
from nasviz.commands.text import table
from nasviz.commands.watching import progress_line
from nasviz.draw.run_space import read_space
from nasviz.runs import Run, RunSettings, RunSummary, to_document
from nasviz.runs.damage import as_damage
from nasviz.runs.files import SPACE

__all__ = ["document_of", "list_lines", "result_lines", "run_lines", "summary_document"]

_HEADER = ("run", "state", "done", "network", "K", "parameters", "accuracy", "note")
_LONGEST_NOTE = 60


def list_lines(summaries: Sequence[RunSummary]) -> Iterator[str]:
    """A table with one line a run; parameters and accuracy are those of the sub-network."""
    return table(_HEADER, [_row(summary) for summary in summaries])


def _row(summary: RunSummary) -> tuple[object, ...]:
    settings, result = summary.settings, summary.result
    share = "" if summary.progress is None else f"{summary.progress:.0%}"
    after, before = result.get("params_after"), result.get("params_before")
    kept = "" if after is None or not before else f"{after / before:.1%}"
    accuracy = f"{result['accuracy_subnet']:.1%}" if "accuracy_subnet" in result else ""
    what = (settings.network.name, settings.value("target_sparsity", "")) if settings else ("?", "?")
    outcome = summary.result.get("outcome", "") if summary.is_invalid else ""
    note = summary.problem or summary.error or outcome or summary.diverged or summary.labels.note
    note = note[:_LONGEST_NOTE]
    return (summary.id, summary.state, share, *what, kept, accuracy, note)


def summary_document(summary: RunSummary) -> dict[str, Any]:
    """A summary as plain data."""
    values = {item.name: getattr(summary, item.name) for item in fields(RunSummary)}
    settings = None if summary.settings is None else summary.settings.to_json()
    return values | {
        "settings": settings,
        "result": dict(summary.result),
        "labels": asdict(summary.labels),
        "is_invalid": summary.is_invalid,
        "diverged": summary.diverged,
    }


def document_of(run: Run) -> dict[str, Any]:
    """Return a run with its state and everything on record, as plain data.

    Raises:
        DataError: It is damaged.
    """
    with as_damage(run.folder):
        return {"state": run.state, "folder": str(run.folder)} | to_document(run)


def run_lines(run: Run) -> Iterator[str]:
    """Return a summary of a run, line by line.

    Raises:
        DataError: It is damaged.
    """
    with as_damage(run.folder):
        lines = list(_run_lines(run))  # all or none: half a description reads as if it were whole
    yield from lines


def _run_lines(run: Run) -> Iterator[str]:
    tail, settings = run.tail(), run.settings
    yield f"{run.id}: {run.state}, {run.progress or 0:.0%} done"
    yield f"  folder      {run.folder}"
    yield f"  network     {_network_words(settings.network)}"
    if run.cut_from is not None:
        yield f"  cut from    run {run.cut_from}"
    defaults = RunSettings(network=settings.network, method=type(settings.method)()).flat()
    changed = [f"{name}={value}" for name, value in settings.flat().items() if value != defaults[name]]
    if settings.method.name != "h2spg":
        changed = [f"method={settings.method.name}", *changed]
    yield f"  settings    {', '.join(changed) or 'all at their defaults'}"
    if checked := tail.facts.get("checked"):
        equal = f"equal at step {checked['step']} (SHA-256 {checked['sha256'][:12]}...)"
        yield f"  processes   {settings.processes}, parameters {equal}"
    if len(tail.steps):
        yield f"  last step   {progress_line(tail)}"
    for item in tail.evaluations:
        words = f"accuracy {item.accuracy:.1%}, loss {item.loss:.3f}"
        yield f"  evaluation  step {item.step}, {item.network} network: {words}"
    if run.end is not None and run.end.error:
        yield f"  error       {run.end.error}"
    if run.state in ("crashed", "failed", "cancelled"):
        yield f"  go on with  nasviz runs resume {shlex.join([run.id, '--runs', str(run.folder.parent)])}"
    yield from result_lines(run)


def _network_words(source: NetworkSource) -> str:
    words = [f"{name}={value}" for name, value in dict(source.settings).items()]
    if source.input_shape is not None:
        words.append(f"input {'x'.join(map(str, source.input_shape))}")
    words += [f"input {spec}" for spec in source.inputs]
    if source.num_classes is not None:
        words.append(f"{source.num_classes} classes")
    if source.weights is not None:
        words.append(f"weights {source.weights}")
    if source.subnet is not None:
        words.append(f"kept in {source.subnet}")
    return ", ".join([source.name, *words])


def result_lines(run: Run) -> Iterator[str]:
    """Before and after, of a run that is done; nothing of another."""
    result = run.end.result if run.end is not None else {}
    if not result or "is_valid" not in result:
        return
    yield from _pruning_lines(result.get("pruning"))
    space = read_space(run.folder / SPACE)
    erased = ", ".join(space.structure(i).name for i in result["selected"])
    if "latencies" in result:
        measured = result["latencies"]
        digest = measured["sha256"][:12]
        yield f"  latencies   {measured['total_ms']:.3g} ms in all, as measured (SHA-256 {digest})"
    if "diverged" in result:
        yield f"  diverged    {result['diverged']}"
    if not result["is_valid"]:
        yield f"  result      {result.get('outcome', 'no sub-network')}"
        yield f"  zero        {erased}"
        yield f"  accuracy    {result['accuracy_full']:.1%} with these at zero, and no sub-network"
        return
    orphaned = ", ".join(space.segments[i].name for i in result["orphaned"])
    yield f"  erased      {erased or 'nothing'}" + (f"; orphaned by it: {orphaned}" if orphaned else "")
    for title, key in (("parameters", "params"), ("MACs", "macs")):
        before, after = result[f"{key}_before"], result[f"{key}_after"]
        yield f"  {title:<10}  {before:,} -> {after:,} ({after / max(1, before):.1%})"
    yield f"  accuracy    {result['accuracy_full']:.1%} -> {result['accuracy_subnet']:.1%}"
    if "perplexity_subnet" in result:
        yield f"  perplexity  {result['perplexity_full']:.2f} -> {result['perplexity_subnet']:.2f}"
    yield f"  exactness   largest relative difference {result['max_relative_error']:.2g}"


def _pruning_lines(found: Any) -> Iterator[str]:
    """Accuracy before pruning and at each threshold, of a search by a penalty."""
    if found:
        yield f"  pruning     before it, accuracy {found['accuracy']:.1%}"
        for row in found["thresholds"]:
            words = f"at {row['threshold']:g}: {row['pruned']} gone, accuracy {row['accuracy']:.1%}"
            yield f"              {words}"
