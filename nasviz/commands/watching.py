"""Watching a run from a terminal: events as lines, steps as one line that moves."""

from __future__ import annotations

import time
from shutil import get_terminal_size
from typing import TextIO

from nasviz.commands.text import Steady, plain
from nasviz.runs import Run, Tail

__all__ = ["Watch", "follow", "progress_line"]

_BAR_WIDTH = 24


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
        """Print what is new. Costs one query of the store."""
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
        """Events and evaluations that were not told yet, in the order of their steps."""
        # A resumed run has forgotten what lies past its checkpoint: then nothing is new until it gets there.
        events = tail.events[self._num_events :]
        evaluations = tail.evaluations[self._num_evaluations :]
        self._num_events, self._num_evaluations = len(tail.events), len(tail.evaluations)
        news = [(event.step, event.text) for event in events if event.kind != "redundant"]
        news += [
            (item.step, f"{item.network} network: accuracy {item.accuracy:.1%}, loss {item.loss:.3f}")
            for item in evaluations
        ]
        return sorted(news, key=lambda pair: pair[0])

    def _clear(self) -> None:
        if self._bar:
            self._out.write("\r" + " " * len(self._bar) + "\r")
            self._bar = ""


def progress_line(tail: Tail) -> str:
    """The last step of a tail that has one, in one line."""
    row, total = tail.steps[-1], tail.total_steps or 1
    filled = min(_BAR_WIDTH, round(_BAR_WIDTH * (row.step + 1) / total))
    return (
        f"[{'#' * filled:.<{_BAR_WIDTH}}] {row.step + 1}/{total} {row.phase}  loss {row.loss:.3f}"
        f"  accuracy {row.accuracy:.1%}  {row.examples_per_second:,.0f} examples/s  zero {row.zero_groups}"
    )


def follow(run: Run, out: TextIO, *, look_every_s: float = 0.5) -> None:
    """Watch a run until its worker has ended."""
    watch = Watch(run, out)
    while run.is_active:
        watch.look()
        time.sleep(look_every_s)
    watch.look()
    watch.close()
