"""Graceful shutdown on signals: the run saves a checkpoint and ends in order.

Ctrl-C, `kill` and a closed terminal are treated alike: the first signal asks to stop, the second interrupts.
"""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["SIGNALS", "Stop", "leave_terminal", "stop_on_signals"]

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Signals that end a process in order; Windows has no SIGHUP."""


class Stop:
    """Signal received by `stop_on_signals`."""

    def __init__(self) -> None:
        self.number: int | None = None
        """Number of the first signal, or None."""

    @property
    def exit_code(self) -> int:
        """128 + n after signal n, as shells report it; that of Ctrl-C if there was none."""
        return 128 + (self.number or signal.SIGINT)


@contextmanager
def stop_on_signals(ask: Callable[[], bool]) -> Iterator[Stop]:
    """Call `ask` at the first signal that would end this process; raise KeyboardInterrupt at the second.

    Ignored signals, as with `nohup`, stay ignored. Outside the main thread nothing is changed.

    Args:
        ask: Requests an orderly end; returns whether there is a worker to receive the request. If not, the
            first signal interrupts at once.
    """
    stop, owner = Stop(), os.getpid()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    handled = [number for number, handler in before.items() if handler != signal.SIG_IGN]

    def handle(number: int, frame: FrameType | None) -> None:
        if os.getpid() != owner:  # a forked data-loader worker, which its parent ends
            if number == signal.SIGTERM:
                signal.signal(number, signal.SIG_DFL)
                os.kill(os.getpid(), number)
            return
        stop.number = stop.number or number
        for other in handled:
            signal.signal(other, signal.default_int_handler)
        if number == getattr(signal, "SIGHUP", None):
            leave_terminal()
        if not ask():
            raise KeyboardInterrupt

    for number in handled:
        signal.signal(number, handle)
    try:
        yield stop
    finally:
        for number in handled:
            signal.signal(number, before[number])


def leave_terminal() -> None:
    """Redirect terminal output to the null device: writing to a closed terminal fails."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (1, 2):
        with contextlib.suppress(OSError):  # closed already
            if stat.S_ISCHR(os.fstat(descriptor).st_mode):
                os.dup2(null, descriptor)
    os.close(null)
