"""The worker of a run: `python -m nasviz.train.worker RUN_FOLDER`, or `work` in the foreground.

The run's lock is taken before torch is imported, so that a second start is refused at once and a cancel is
heard from the first moment on.
"""

from __future__ import annotations

import _thread
import argparse
import dis
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasviz.errors import NasvizError, TrainingError
from nasviz.extensions import load_extensions
from nasviz.runs import EndState, Run, Writer, admit
from nasviz.runs.requests import read_request
from nasviz.runs.stopping import stop_on_signals

if TYPE_CHECKING:
    from nasviz.train.progress import Listener, Progress

__all__ = ["PATIENCE_S", "STEP_PATIENCE_S", "main", "read_back", "work", "work_attended"]

PATIENCE_S = 0.3
"""How long a cancel waits outside of training; whatever is going on is interrupted then."""
STEP_PATIENCE_S = 3.0
"""How long it waits for the end of a training step."""
AGAIN_S = 1.0
"""How long an interrupted run has to write down its end before it is interrupted again."""


def work(
    run: Run, listener: Listener | None = None, *, trust: Iterable[str | Path] | None = None
) -> EndState:
    """Train `run` to its end, here and now; return how it ended.

    A run on several processes is trained by children of this one, which starts and watches them.

    Args:
        run: Nobody else may be at work on it.
        listener: Hears of the progress.
        trust: Folders that user code may be imported from; None: those that the run names itself, where this
            user has made it.

    Raises:
        UntrustedCodeError: The run would import other code; nothing of it was touched.
        RunBusyError: The run has a worker already.
        RunStateError: The run is done, or is not what its sweep asks for.
        NasvizError: The run failed; the reason is on record.
    """
    folders = admit(run, trust)
    with Writer(run, read_back=read_back) as writer:
        if writer.request == "cancel":  # asked for while this worker was on its way
            writer.finish("cancelled")
            return "cancelled"
        try:
            return _train(run, writer, listener, folders)
        except SystemExit as error:
            raise TrainingError(
                f"code of the network or the data ended the process by SystemExit({error.code!r}); remove it"
            ) from error
        except KeyboardInterrupt as error:
            if (place := _raised_at(error)) is None:
                raise
            raise TrainingError(
                f"code of the network or the data raised KeyboardInterrupt itself, at {place}; nobody asked"
                " the run to stop"
            ) from error


def _train(run: Run, writer: Writer, listener: Listener | None, folders: tuple[str, ...]) -> EndState:
    try:
        if run.settings.processes > 1:
            from nasviz.train.launching import launch
        from nasviz.train.execution import execute
    except (ImportError, MemoryError) as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise TrainingError(
            f"torch cannot be loaded ({reason}); install it anew, or where `ulimit -v` limits the memory,"
            " raise the limit to some gigabytes"
        ) from error
    if run.settings.processes > 1:
        return launch(run, listener, folders)
    return execute(run, writer, listener, trust=folders)


def _raised_at(error: BaseException) -> str | None:
    """File and line of the `raise` statement in a user's code that an exception comes from; None for others.

    A signal interrupts between two instructions, and torch passes on what its loaders heard.
    """
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return None
    code = trace.tb_frame.f_code
    room = str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0]
    if code.co_code[trace.tb_lasti] != dis.opmap["RAISE_VARARGS"] or room in ("nasviz", "torch"):
        return None
    return f"{code.co_filename}:{trace.tb_lineno}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry of the detached process; ends it with status 0, or 1 and the reason on standard error."""
    parser = argparse.ArgumentParser(prog="python -m nasviz.train.worker", description="Train one run.")
    parser.add_argument("folder", type=Path, help="folder of the run")
    parser.add_argument(
        "--trust",
        action="append",
        default=[],
        metavar="DIR",
        help="folder that the run may import Python from (default: none)",
    )
    args = parser.parse_args(arguments)
    load_extensions()
    folder: Path = args.folder
    try:
        run = Run(folder.resolve())

        def ask() -> bool:
            if not run.is_active or read_request(run.folder) == "cancel":
                return False  # nobody there to ask, or asked in vain: interrupt
            run.request("cancel")
            return True

        # A polite end from outside reads as cancelled, with a checkpoint, not as crashed.
        with stop_on_signals(ask) as stop:
            work_attended(run, trust=args.trust)
    except NasvizError as error:
        raise SystemExit(f"{type(error).__name__}: {error}") from error
    except KeyboardInterrupt:
        raise SystemExit(f"run {folder.name} was interrupted") from None
    if stop.number is not None:
        raise SystemExit(stop.exit_code)


def work_attended(
    run: Run, listener: Listener | None = None, *, trust: Iterable[str | Path] | None = None
) -> EndState:
    """Do what `work` does, in the main thread, and interrupt it where a cancel would wait too long.

    Raises:
        KeyboardInterrupt: A cancel came during an import, a trace or an export; the end is on record.
        NasvizError: As `work` does.
    """
    watch = _Watch(run, listener)
    watch.start()
    try:
        return work(run, watch.hear, trust=trust)
    finally:
        watch.stop()


def read_back(values: Sequence[Any]) -> Sequence[Any]:
    """The numbers of a flush, in one transfer; torch is loaded by then."""
    from nasviz.train import recorder

    return recorder.read_back(values)


class _Watch(threading.Thread):
    """Interrupts the main thread where a cancel has waited too long: tracing and export never look."""

    def __init__(self, run: Run, listener: Listener | None = None) -> None:
        super().__init__(daemon=True)
        self._run = run
        self._listener = listener
        self._is_over = threading.Event()
        self._patience_s = PATIENCE_S

    def hear(self, progress: Progress) -> None:
        """A training step that is under way is worth waiting for: its end saves a checkpoint."""
        self._patience_s = PATIENCE_S if progress.phase == "construction" else STEP_PATIENCE_S
        if self._listener is not None:
            self._listener(progress)

    def stop(self) -> None:
        """End the watch: nothing is interrupted from here on."""
        self._is_over.set()
        self.join()

    def run(self) -> None:
        """Look for a cancel ten times a second."""
        asked: float | None = None
        while asked is None or time.monotonic() - asked < self._patience_s:
            if self._is_over.wait(0.1):
                return
            is_asked = read_request(self._run.folder) == "cancel"
            asked = (asked or time.monotonic()) if is_asked else None
        while self._run.end is None:  # an import may swallow an interrupt, so one is not always enough
            _thread.interrupt_main()
            if self._is_over.wait(AGAIN_S):
                return


if __name__ == "__main__":
    main()
