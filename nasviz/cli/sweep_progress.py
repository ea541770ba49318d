"""The runs of a sweep trained on this machine, and the table that shows how they stand."""

from __future__ import annotations

import contextlib
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from shutil import get_terminal_size
from typing import Any, TextIO

from nasviz import jobs
from nasviz.catalog import PRESETS, Preset
from nasviz.cli.text import Steady, plain, table
from nasviz.errors import RunStateError
from nasviz.runs import (
    Cell,
    RunSummary,
    Spread,
    Sweep,
    SweepSettings,
    SweepState,
    SweepSummary,
    cells,
    is_stand_in,
    not_printed,
    row_of,
    what_differs,
)
from nasviz.runs.files import LOG
from nasviz.runs.stopping import stop_on_signals

__all__ = ["follow_sweep", "start_sweep_detached", "sweep_here", "sweep_lines", "sweep_list_lines"]

_TABLE_EVERY_S = 1.0
_START_PATIENCE_S = 30.0


def sweep_here(
    sweep: Sweep,
    slots: int | None,
    out: TextIO | None,
    *,
    retry_failed: bool,
    engine: str = "local",
    trust: Iterable[str] | None = None,
) -> tuple[SweepState, int]:
    """Schedule the runs of a sweep from this process until all have ended.

    The workers are processes of their own. Ctrl-C, `kill` and the end of the terminal let them save a
    checkpoint and end; a second signal leaves them at work.

    Args:
        sweep: A sweep without a scheduler.
        slots: Runs at the same time; None for one per GPU, or one per core.
        out: Where the table is printed; None for nowhere.
        retry_failed: Whether runs that failed are tried again.
        engine: "local", or "ray" for the machines of a Ray cluster.
        trust: Folders that user code may be imported from; None: those that the sweep names itself, where
            this user has made it.

    Returns:
        How the sweep stands, and the exit code that says so: 128 + n after signal n.

    Raises:
        RunBusyError: It has a scheduler already.
        InvalidSettingError: The engine is not installed.
    """

    def ask() -> bool:
        if not sweep.is_active:
            return False
        sweep.ask_to_stop()
        if out is not None:
            with contextlib.suppress(OSError, RuntimeError):  # closed, or being written to right now
                out.write("\nstopping the runs at a checkpoint; a second Ctrl-C leaves them at work\n")
        return True

    screen = _Screen(sweep, None if out is None else Steady(out))
    wanted = jobs.scheduler_of(
        sweep, engine, slots=slots, retry_failed=retry_failed, listener=screen.look, trust=trust
    )
    with wanted as scheduler, stop_on_signals(ask) as stop:
        state = scheduler.run()
    screen.close()
    return state, 0 if state == "done" else stop.exit_code


def start_sweep_detached(
    sweep: Sweep,
    slots: int | None,
    *,
    retry_failed: bool,
    engine: str = "local",
    trust: Iterable[str] | None = None,
) -> None:
    """Start the scheduler as a process of its own, and wait until it is at work.

    Raises:
        RunBusyError: The sweep has a scheduler already.
        RunStateError: It is done, or its scheduler ended before it began.
    """
    jobs.start_sweep(sweep, slots=slots, retry_failed=retry_failed, engine=engine, trust=trust)
    deadline = time.monotonic() + _START_PATIENCE_S
    while jobs.is_starting(sweep) and time.monotonic() < deadline:
        time.sleep(0.05)
    if sweep.state == "created":
        words = f"the scheduler of {sweep.id} ended before it began; {sweep.folder / LOG} says why"
        raise RunStateError(words)


def follow_sweep(sweep: Sweep, out: TextIO, *, look_every_s: float = 0.5) -> None:
    """Watch a sweep until its scheduler has ended."""
    screen = _Screen(sweep, out)
    while sweep.is_active:
        screen.look()
        time.sleep(look_every_s)
    screen.close()


def sweep_lines(sweep: Sweep, summaries: Sequence[RunSummary | None] | None = None) -> Iterator[str]:
    """Yield a line on the whole sweep, then a table with one line for runs that differ only in their seed."""
    runs = sweep.summaries() if summaries is None else summaries
    counts = Counter("waiting" if run is None else run.state for run in runs)
    title = sweep.labels.name or sweep.settings.title
    yield f"{sweep.id}: {sweep.state}, {_counted(counts)}" + (f"  {title}" if title else "")
    rows = cells(sweep, runs)
    names = [name for name in _names(rows) if any(cell.point.get(name) is not None for cell in rows)]
    names = ["mu"] if sweep.settings.bisection is not None else names
    kinds = {cell.metric for cell in rows}
    title = next(iter(kinds)).title if len(kinds) == 1 else "metric"
    header = (*names, "runs", title, "full network", "parameters", "MACs", "note")
    lines = [_row(cell, names, runs, is_named=len(kinds) > 1) for cell in rows]
    if any("survivors" in cell.metrics for cell in rows):
        header = (*names, "left", *header[len(names) :])
        lines = [
            (
                *line[: len(names)],
                spread_words(cell.metrics.get("survivors"), "{:g}".format),
                *line[len(names) :],
            )
            for line, cell in zip(lines, rows, strict=True)
        ]
    for name, title, show in _FURTHER:
        if any(name in cell.metrics for cell in rows):
            header = (*header[:-1], title, header[-1])
            lines = [
                (*line[:-1], spread_words(cell.metrics.get(name), show), line[-1])
                for line, cell in zip(lines, rows, strict=True)
            ]
    if sweep.settings.preset in PRESETS:
        preset = PRESETS[sweep.settings.preset]
        header = (*header[:-1], f"printed in {preset.table}", header[-1])
        lines = [
            (*line[:-1], _printed(preset, sweep.settings, cell), line[-1])
            for line, cell in zip(lines, rows, strict=True)
        ]
    yield from table(header, lines)
    if sweep.settings.preset in PRESETS and is_stand_in(preset, sweep.settings):
        yield f"digits stand in for {preset.data}: compare the pattern, not the numbers"
        yield what_differs(preset, sweep.settings)
        yield not_printed(preset, sweep.settings)
    for run in runs:
        if run is not None and run.problem:
            yield f"{run.id} is damaged and counts as failed: {run.problem}"
    yield from bisection_lines(sweep)


def _cost(seconds: float) -> str:
    return f"{seconds:,.0f} s = {seconds / 86_400:.2g} days"


_FURTHER: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("top5_subnet", "top-5", "{:.1%}".format),
    ("search_seconds", "search", _cost),
)
"""Measures that not every run has: name, title, and how a value is written."""


def bisection_lines(sweep: Sweep) -> Iterator[str]:
    """Yield what a search for mu has found so far, and its curve; nothing for a grid."""
    search, found = sweep.settings.bisection, sweep.found
    if search is None:
        return
    if found is None:
        yield f"no mu yet that leaves at most {search.target} groups"
        return
    yield f"mu = {found.mu:g} leaves {found.survivors} groups; {search.target} were wanted"
    most = max(1, *(trial.survivors for trial in found.curve))
    for trial in found.curve:
        yield f"  {trial.mu:>10.4g}  {'#' * round(40 * trial.survivors / most):<40}  {trial.survivors}"


def sweep_list_lines(summaries: Sequence[SweepSummary]) -> Iterator[str]:
    """Return a table with one line per sweep."""
    rows = []
    for summary in summaries:
        settings = summary.settings
        what = "?" if settings is None else settings.base.network.name
        title = summary.labels.name or (settings.title if settings else "")
        rows.append((summary.id, summary.state, what, _counted(summary.counts), summary.problem or title))
    return table(("sweep", "state", "network", "runs", "note"), rows)


def spread_words(spread: Spread | None, show: Callable[[float], str]) -> str:
    """Return the mean and, for several values, their standard deviation."""
    if spread is None:
        return ""
    return show(spread.mean) + ("" if math.isnan(spread.std) else f" ±{show(spread.std)}")


def _counted(counts: Counter[str]) -> str:
    total = counts.total()
    words = [f"{count} {state}" for state, count in sorted(counts.items()) if state != "done"]
    return ", ".join([f"{counts['done']} of {total} done", *words])


def _names(rows: Sequence[Cell]) -> list[str]:
    return list(dict.fromkeys(name for cell in rows for name in cell.point))


def _row(
    cell: Cell, names: Sequence[str], runs: Sequence[RunSummary | None], *, is_named: bool
) -> tuple[object, ...]:
    found, notes = cell.metrics, []
    title = f"{cell.metric.title} " if is_named else ""
    if cell.num_invalid:
        notes.append(f"{cell.num_invalid} invalid: no path left")
    if cell.counts["failed"]:
        begun = [run for i in cell.indices if (run := runs[i]) is not None]
        errors = [words for run in begun if (words := run.problem or run.error)]
        notes.append(f"{cell.counts['failed']} failed: {errors[0] if errors else ''}"[:60])
    if cell.num_diverged:
        notes.append(f"{cell.num_diverged} diverged")
    if cell.num_stopped:
        notes.append(f"{cell.num_stopped} stopped by the median rule")
    return (
        *(_value(cell.point, name) for name in names),
        f"{cell.counts['done']}/{cell.num_runs}",
        title + _accuracy(cell),
        spread_words(found.get("accuracy_full"), cell.metric.text),
        spread_words(found.get("params_after"), "{:,.0f}".format),
        spread_words(found.get("macs_after"), "{:,.0f}".format),
        "; ".join(notes),
    )


def _accuracy(cell: Cell) -> str:
    """Return mean and deviation; a cross where every run has disconnected its network."""
    if cell.num_invalid and cell.num_invalid == cell.counts["done"]:
        return "x"
    return spread_words(cell.metrics.get("accuracy_subnet"), cell.metric.text)


def _value(point: Mapping[str, Any], name: str) -> object:
    value = point.get(name, "")
    return value["name"] if isinstance(value, Mapping) else value


def _printed(preset: Preset, settings: SweepSettings, cell: Cell) -> str:
    """Return the published accuracies, parameters and search cost of this line; x for no network."""
    row = row_of(preset, settings, cell)
    if row is None:
        return ""
    found = row.printed
    if found.num_valid == 0:
        return "x"
    words = [] if found.top1 is None else [f"{found.top1:g}%"]
    words += [] if found.top5 is None else [f"top-5 {found.top5:g}%"]
    words += [] if found.params is None else [f"{found.params / 1e6:g} M"]
    words += [] if found.search_days is None else [f"{found.search_days:g} GPU days"]
    return ", ".join(words) + (f" ({found.num_valid} valid)" if found.num_valid is not None else "")


class _Screen:
    """The table of a sweep: redrawn in place on a terminal, elsewhere a line for every change."""

    def __init__(self, sweep: Sweep, out: TextIO | Steady | None) -> None:
        self._sweep, self._out = sweep, out
        self._num_lines = 0
        self._last: list[str] = []
        self._due = 0.0

    def look(self) -> None:
        """Redraw the table, at most once a second."""
        if self._out is None or time.monotonic() < self._due:
            return
        self._due = time.monotonic() + _TABLE_EVERY_S
        lines = [plain(line) for line in sweep_lines(self._sweep)]
        if self._out.isatty():
            self._draw(lines)
        elif lines[:1] != self._last[:1]:
            self._out.write(lines[0] + "\n")
        self._last = lines
        self._out.flush()

    def close(self) -> None:
        """Print the final table."""
        if self._out is None:
            return
        self._due = 0.0
        self.look()
        if not self._out.isatty():
            self._out.write("\n".join(self._last[1:]) + "\n")
        self._out.flush()

    def _draw(self, lines: list[str]) -> None:
        assert self._out is not None
        width, height = get_terminal_size()
        room = max(3, height - 1)
        if len(lines) > room:
            lines = [*lines[: room - 1], f"... and {len(lines) - room + 1} lines more"]
        back = f"\x1b[{self._num_lines}F\x1b[J" if self._num_lines else ""
        self._out.write(back + "".join(line[: width - 1] + "\n" for line in lines))
        self._num_lines = len(lines)
