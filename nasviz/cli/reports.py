"""What the files of runs say: lines for a terminal, documents for programs, and progress while they train."""

from __future__ import annotations

import shlex
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from shutil import get_terminal_size
from typing import Any, TextIO

from nasviz.catalog import ACCURACY, Metric, NetworkSource, metric_of
from nasviz.catalog.genotype import is_genotype, read_genotype
from nasviz.catalog.metrics import titled
from nasviz.cli.text import Steady, plain, table
from nasviz.draw.genotype import chosen_cells
from nasviz.draw.run_space import read_space
from nasviz.graph import SearchSpace
from nasviz.graph.cells.genotypes import genotype_text
from nasviz.runs import Run, RunSettings, RunSummary, Tail, to_document
from nasviz.runs.files import SPACE
from nasviz.runs.records import Evaluation, Event, could_go
from nasviz.runs.storage import as_damage

__all__ = [
    "Watch",
    "decided_words",
    "document_of",
    "follow",
    "list_lines",
    "progress_line",
    "result_lines",
    "run_lines",
    "shortened",
    "summary_document",
]

_HEADER = ("run", "state", "done", "network", "K", "parameters", "accuracy", "note")
_LONGEST_NOTE = 60
_LONGEST_LINE = 100
"""Characters of names in a line of a summary; the rest is counted."""
_BAR_WIDTH = 24
_MOST_ALIKE = 3
"""Events of one kind about structures that are printed of one step."""


def list_lines(summaries: Sequence[RunSummary]) -> Iterator[str]:
    """Return a table with one line per run; parameters and accuracy are those of the sub-network."""
    return table(_HEADER, [_row(summary) for summary in summaries])


def _row(summary: RunSummary) -> tuple[object, ...]:
    settings, result = summary.settings, summary.result
    share = "" if summary.progress is None else f"{summary.progress:.0%}"
    after, before = result.get("params_after"), result.get("params_before")
    kept = "" if after is None or not before else f"{after / before:.1%}"
    accuracy = ""
    if "accuracy_subnet" in result:
        metric = metric_of(result)
        accuracy = (metric.text if metric == ACCURACY else metric.words)(result["accuracy_subnet"])
    what = (settings.network.name, settings.value("target_sparsity", "")) if settings else ("?", "?")
    outcome = summary.result.get("outcome", "") if summary.is_invalid else ""
    note = summary.problem or summary.error or outcome or summary.diverged or summary.labels.note
    note = note[:_LONGEST_NOTE]
    return (summary.id, summary.state, share, *what, kept, accuracy, note)


def summary_document(summary: RunSummary) -> dict[str, Any]:
    """Return a summary as plain data."""
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
    """Yield a description of a run, line by line.

    Raises:
        DataError: It is damaged.
    """
    with as_damage(run.folder):
        lines = list(_run_lines(run))  # all or none: half a description looks complete
    yield from lines


def _run_lines(run: Run) -> Iterator[str]:
    tail, settings = run.tail(), run.settings
    yield f"{run.id}: {run.state}, {run.progress or 0:.0%} done"
    yield f"  folder      {run.folder}"
    yield f"  network     {_network_words(settings.network)}"
    if run.cut_from is not None:
        yield f"  cut from    run {run.cut_from}"
    defaults = RunSettings(network=settings.network, method=type(settings.method)()).flat()
    if settings.is_watched:
        defaults = {"network": settings.flat()["network"]}
    changed = [f"{name}={value}" for name, value in settings.flat().items() if value != defaults.get(name)]
    if settings.method.name != "h2spg":
        changed = [f"method={settings.method.name}", *changed]
    yield f"  settings    {', '.join(changed) or 'all at their defaults'}"
    if checked := tail.facts.get("checked"):
        equal = f"equal at step {checked['step']} (SHA-256 {checked['sha256'][:12]}...)"
        yield f"  processes   {settings.processes}, parameters {equal}"
    if len(tail.steps):
        yield f"  last step   {progress_line(tail)}"
    for item in tail.evaluations:
        yield f"  evaluation  step {item.step}, {_evaluation_words(item, tail)}"
    if run.end is not None and run.end.error:
        yield f"  error       {run.end.error}"
    if run.state in ("crashed", "failed", "cancelled"):
        if settings.is_watched:
            yield f"  go on with  nasviz.watch(run={run.id!r}) in the loop that it records"
            return
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
    if source.graph is not None:
        words.append("the graph of a watched loop")
    return ", ".join([source.name, *words])


def result_lines(run: Run) -> Iterator[str]:
    """Yield what a finished run has removed; nothing for other runs."""
    result = run.end.result if run.end is not None else {}
    if not result or "is_valid" not in result:
        return
    yield from _pruning_lines(result.get("pruning"), metric_of(result))
    if "selected" not in result:  # a watched loop that constructed nothing
        yield f"  result      {result.get('outcome', 'no sub-network')}"
        return
    space, metric = read_space(run.folder / SPACE), metric_of(result)
    erased = shortened([space.structure(i).name for i in result["selected"]])
    if "latencies" in result:
        measured = result["latencies"]
        digest = measured["sha256"][:12]
        yield f"  latencies   {measured['total_ms']:.3g} ms in all, as measured (SHA-256 {digest})"
    if "diverged" in result:
        yield f"  diverged    {result['diverged']}"
    if not result["is_valid"]:
        yield f"  result      {result.get('outcome', 'no sub-network')}"
        yield f"  zero        {erased}"
        if "accuracy_full" in result:
            words = metric.words(result["accuracy_full"])
            yield f"  evaluation  {words} with these at zero, and no sub-network"
        return
    orphaned = shortened([space.segments[i].name for i in result["orphaned"]])
    num_channels = sum(map(len, result.get("channels_zeroed_by", {}).values()))
    what = [erased] if erased else []
    what += [f"{num_channels:,} channel groups"] if num_channels else []
    yield f"  erased      {'; '.join(what) or 'nothing'}" + (
        f"; orphaned by it: {orphaned}" if orphaned else ""
    )
    yield from _found_lines(run, space, result)
    for title, key in (("parameters", "params"), ("MACs", "macs")):
        before, after = result[f"{key}_before"], result[f"{key}_after"]
        yield f"  {title:<10}  {before:,} -> {after:,} ({after / max(1, before):.1%})"
    tables = [dict(result.get(f"metrics_{name}") or {}) for name in ("full", "subnet")]
    for measured, name in zip(tables, ("full", "subnet"), strict=True):
        if f"accuracy_{name}" in result:
            measured[metric.name] = result[f"accuracy_{name}"]
    for name in {metric.name: None} | tables[0] | tables[1]:
        before, after = (measured.get(name) for measured in tables)
        other = metric if name == metric.name else titled(name)
        if other is not None and (before, after) != (None, None):
            yield f"  {other.title:<10}  {other.text(before)} -> {other.text(after)}"
    if "top5_subnet" in result:
        yield f"  top-5       {result['top5_subnet']:.1%}"
    if "changed_at" in result:
        yield f"  change-over before step {result['changed_at']}: from there on the sub-network was trained"
    if result.get("result") == "best":
        yield f"  result      the best iterate, of step {result['result_step']}"
    if seconds := result.get("search_seconds"):
        yield f"  search      {seconds:,.0f} s, {seconds / 86_400:.2g} days on one device"
    if (genotype := result.get("genotype")) and is_genotype(genotype):
        share = read_genotype(genotype).skip_share
        yield f"  genotype    {genotype} ({share:.0%} skip connections)"
    before, after = (result.get(f"perplexity_{name}") for name in ("full", "subnet"))
    if before is not None and after is not None:
        yield f"  perplexity  {before:.2f} -> {after:.2f}"
    yield f"  exactness   largest relative difference {result['max_relative_error']:.2g}"


def _pruning_lines(found: Any, metric: Metric) -> Iterator[str]:
    """Yield the accuracy before pruning and at each threshold, after a search by a penalty."""

    def words_of(row: Any) -> str:
        return metric.words(metric.sign * row["accuracy"])

    if found:
        yield f"  pruning     before it, {words_of(found)}"
        for row in found["thresholds"]:
            at = f"{row['threshold']:.0%}" if found.get("kind") == "fraction" else f"{row['threshold']:g}"
            yield f"              at {at}: {row['pruned']} gone, {words_of(row)}"
        if chosen := found.get("chosen"):
            words = f"{chosen['pruned']} of {found['groups']} gone, {words_of(chosen)}"
            yield f"              by {chosen['rule']}: {words}"


def decided_words(result: Mapping[str, Any]) -> str:
    """Return how decided the architecture of a finished search with softmaxes is; empty for other runs."""
    found = result.get("decidedness")
    if not found:
        return ""
    words = f"{found['num_decided']} of {found['num_choices']} choices"
    undecided = "undecided: " if found["num_decided"] < found["num_choices"] else ""
    return f"{undecided}{words}; the largest share is {found['largest']:.3f}, an even one {found['even']:.3f}"


def _found_lines(run: Run, space: SearchSpace, result: Mapping[str, Any]) -> Iterator[str]:
    """Yield the genotype of a derived network, how decided it is, and what a search would lose further on."""
    cells = chosen_cells(space, run.settings, run.tail(), result)
    for line in genotype_text(cells).splitlines() if cells and "genotype" not in result else ():
        yield f"  genotype    {line}"
    if words := decided_words(result):
        yield f"  decided     {words}"
    if zeros := result.get("sparsity"):
        words = f"{zeros['zero_paths']} of {zeros['num_paths']} operations, {zeros['zero_nodes']}"
        yield f"  zeros       {words} of {zeros['num_nodes']} nodes"
    if better := could_go(result.get("pruning")):
        place = shlex.quote(str(run.folder))
        yield (
            f"  could go    {better['pruned']} groups at {better['threshold']:g} with the same accuracy:"
            f" nasviz train --config {place} --pruning threshold --threshold {better['threshold']:g}"
        )


def shortened(names: Sequence[str], longest: int = _LONGEST_LINE) -> str:
    """Return names in a line, and how many more there are.

    Examples:
        >>> shortened(["conv2", "conv3", "conv8"], 13)
        'conv2, conv3 and 1 more'
    """
    shown: list[str] = []
    for name in names:
        if shown and len(", ".join([*shown, name])) > longest:
            break
        shown.append(name[:longest])
    rest = len(names) - len(shown)
    return ", ".join(shown) + (f" and {rest:,} more" if rest else "")


class Watch:
    """Prints what a run has recorded since the last look.

    Args:
        run: The run.
        out: Where to; the line of steps is shown only on a terminal.
    """

    def __init__(self, run: Run, out: TextIO | Steady) -> None:
        self._run = run
        self._out = out
        self._after = -1
        self._num_events = 0
        self._num_evaluations = 0
        self._bar = ""

    def look(self) -> None:
        """Print what is new; costs one query of the store."""
        tail = self._run.tail(self._after)
        self._after = tail.last_step
        for step, text in self._news(tail):
            self._clear()
            self._out.write(plain(f"step {step:>6}  {text}") + "\n")
        if len(tail.steps) and self._out.isatty():
            self._clear()
            self._bar = progress_line(tail)[: get_terminal_size().columns - 1]
            self._out.write(self._bar)
        self._out.flush()

    def close(self) -> None:
        """End the line of steps."""
        if self._bar:
            self._out.write("\n")
            self._bar = ""

    def _news(self, tail: Tail) -> list[tuple[int, str]]:
        """Return events and evaluations that were not printed yet, in the order of their steps."""
        # A resumed run has lost what lies past its checkpoint: nothing is new until it gets there again.
        events = tail.events[self._num_events :]
        evaluations = tail.evaluations[self._num_evaluations :]
        self._num_events, self._num_evaluations = len(tail.events), len(tail.evaluations)
        news = list(_in_short(events))
        news += [(item.step, _evaluation_words(item, tail)) for item in evaluations]
        return sorted(news, key=lambda pair: pair[0])

    def _clear(self) -> None:
        if self._bar:
            self._out.write("\r" + " " * len(self._bar) + "\r")
            self._bar = ""


def _evaluation_words(item: Evaluation, tail: Tail) -> str:
    """Return what an evaluation has measured, the first metric of the run first."""
    first = metric_of(tail.facts)
    measured = [(titled(name), value) for name, value in (item.metrics or {}).items() if name != first.name]
    others = [metric.words(value) for metric, value in measured if metric is not None]
    words = ", ".join((first.words(item.accuracy), *others, f"loss {item.loss:.3f}"))
    return f"{item.network} network: {words}"


def _in_short(events: Sequence[Event]) -> Iterator[tuple[int, str]]:
    """Yield step and text of events; of those about single structures, three of each kind and step."""
    seen: Counter[tuple[int, str]] = Counter()
    for event in events:
        if event.kind == "redundant":
            continue
        if event.structure is not None:
            seen[event.step, event.kind] += 1
            if seen[event.step, event.kind] > _MOST_ALIKE:
                continue
        yield event.step, event.text
    for (step, kind), count in seen.items():
        if count > _MOST_ALIKE:
            yield step, f"({count - _MOST_ALIKE} more events {kind!r})"


def progress_line(tail: Tail) -> str:
    """Return the last step of a tail as one line."""
    row, total = tail.steps[-1], tail.total_steps
    filled = min(_BAR_WIDTH, round(_BAR_WIDTH * (row.step + 1) / total)) if total else 0
    place = f"{row.step + 1}/{total}" if total else f"step {row.step + 1}"
    accuracy = f"  accuracy {row.accuracy:.1%}" if row.accuracy == row.accuracy else ""
    return (
        f"[{'#' * filled:.<{_BAR_WIDTH}}] {place} {row.phase}  loss {row.loss:.3f}{accuracy}"
        f"  {row.examples_per_second:,.0f} examples/s  zero {row.zero_groups}"
    )


def follow(run: Run, out: TextIO, *, look_every_s: float = 0.5) -> None:
    """Watch a run until its worker has ended."""
    watch = Watch(run, out)
    while run.is_active:
        watch.look()
        time.sleep(look_every_s)
    watch.look()
    watch.close()
