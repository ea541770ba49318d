"""Work on runs at the command line: train in the foreground or the background, and download data."""

from __future__ import annotations

import contextlib
import shlex
import time
from collections.abc import Iterable
from typing import TextIO

from nasviz.catalog import FACTS, NetworkSource, data_title
from nasviz.cli.reports import Watch, document_of, result_lines
from nasviz.cli.text import Steady, answer, plain, progress, say
from nasviz.errors import InvalidSettingError, NasvizError, RunStateError
from nasviz.runs import EndState, Run, admit
from nasviz.runs.files import LOG, PID, read_json
from nasviz.runs.requests import read_request
from nasviz.runs.stopping import stop_on_signals
from nasviz.settings import RunSettings

__all__ = ["check_steps", "download_data", "download_weights", "start_detached", "train_here", "work"]

_START_PATIENCE_S = 30.0
_DOWNLOAD_LINE_EVERY_S = 0.5


def work(run: Run, trust: Iterable[str], *, detach: bool, quiet: bool, json: bool) -> int:
    """Train a run here or in the background, print its result, and return the exit code."""
    place = shlex.join([run.id, "--runs", str(run.folder.parent)])
    if detach:
        start_detached(run, trust)
        lines = [f"{run.id} is training; watch it: nasviz runs show {place} --follow"]
        answer(json=json, document=document_of(run), lines=lines)
        return 0
    out = progress(json=json, quiet=quiet)
    if out is not None:
        say(f"{run.id} in {run.folder}", out)
    state, code = train_here(run, out, trust)
    lines = [f"stopped, {run.progress or 0:.0%} done; go on with: nasviz runs resume {place}"]
    if state == "done":
        code, lines = 0, [*result_lines(run)]
        if run.end is not None and run.end.result.get("is_valid"):
            lines.append(f"export it: nasviz export {place} --onnx model.onnx")
    answer(json=json, document=document_of(run) if json else None, lines=lines)
    return code


def train_here(run: Run, out: TextIO | None, trust: Iterable[str] | None = None) -> tuple[EndState, int]:
    """Train a run to its end in this process, from its latest checkpoint where it has one.

    Ctrl-C, `kill` and the end of the terminal save a checkpoint and end the run as cancelled, ready to be
    resumed; a second signal ends it at once.

    Args:
        run: A run without a worker.
        out: Where progress is printed; None for nowhere.
        trust: Folders that user code may be imported from; None: those that the run names itself, where this
            user has made it.

    Returns:
        How the run ended, and the exit code that says so: 128 + n after signal n.

    Raises:
        RunBusyError: The run has a worker already.
        NasvizError: The run failed; the reason is on record.
    """

    def ask() -> bool:
        if not run.is_active or read_request(run.folder) == "cancel":
            return False  # there is no worker to ask, or it was asked in vain: interrupt
        run.request("cancel")
        if out is not None:
            with contextlib.suppress(OSError, RuntimeError):  # closed, or being written to right now
                out.write("\nstopping at a checkpoint; a second Ctrl-C stops at once\n")
        return True

    with stop_on_signals(ask) as stop:
        watch = None if out is None else Watch(run, Steady(out))
        try:
            from nasviz.train.worker import work_attended

            admit(run, trust)  # before anything of it is touched
            run.make_ready().release()
            state = work_attended(run, (lambda progress: watch.look()) if watch else None, trust=trust)
        except KeyboardInterrupt:
            end = run.end
            if end is not None and end.state == "failed":  # raised by the user's own code, not by a signal
                raise NasvizError(end.error or "the run failed") from None
            state = "cancelled"
        finally:
            if watch is not None:
                watch.look()
                watch.close()
    return state, 0 if state == "done" else stop.exit_code


def check_steps(settings: RunSettings) -> None:
    """Check that the phases of a run fit into it, where the size of its data is known before they are opened.

    Raises:
        InvalidSettingError: They do not.
    """
    facts = FACTS.get(settings.data)
    if facts is not None and facts.num_train:
        settings.schedule(facts.num_train)


def start_detached(run: Run, trust: Iterable[str] | None = None) -> None:
    """Start the worker of a run as a process of its own, and wait until it is at work.

    Raises:
        RunBusyError: The run has a worker already.
        RunStateError: The run is done, or its worker ended before it began.
    """
    from nasviz import jobs

    before = read_json(run.folder / PID)
    jobs.start_run(run, trust=trust)
    deadline = time.monotonic() + _START_PATIENCE_S
    while jobs.is_starting(run) and time.monotonic() < deadline:
        time.sleep(0.05)
    if not run.is_active and run.end is None and read_json(run.folder / PID) == before:
        raise RunStateError(f"the worker of {run.id} ended before it began; {run.folder / LOG} says why")


# ---- data ----


def download_weights(network: NetworkSource, out: TextIO | None) -> None:
    """Download the published weights of a network into the caches of torch and Hugging Face.

    Args:
        network: Network; one without published weights needs nothing.
        out: Where progress is printed; None for nowhere.

    Raises:
        WeightsError: They cannot be downloaded, or their checksum differs from the published one.
    """
    from nasviz.models.published import download

    if network.weights is not None and network.is_published:
        download(network.weights, _Line(out))
        if out is not None:
            out.write("\n")


def download_data(runs: Iterable[RunSettings], out: TextIO | None) -> None:
    """Download the data sets of runs into the folders that they name, and weights, where files are missing.

    Args:
        runs: Their settings.
        out: Where progress is printed; None for nowhere.

    Raises:
        InvalidSettingError: No folder is named, or the data set is the user's own.
        DataError: A data set cannot be downloaded, or its checksum differs from the published one.
    """
    from nasviz.data import download

    runs = list(runs)
    for network in dict.fromkeys(run.network for run in runs):
        download_weights(network, out)
    wanted = {(run.data, run.data_folder) for run in runs if run.data != "digits"}
    for name, folder in sorted(wanted, key=str):
        if name not in FACTS:
            raise InvalidSettingError(f"--download: {plain(name)} is your own data, which has no download")
        if folder is None:
            raise InvalidSettingError(f"--download of {data_title(name)} needs --data-folder DIR")
        download(name, folder, _Line(out))
        if out is not None:
            out.write(f"\n{data_title(name)} is in {folder}\n")


class _Line:
    """A progress line that overwrites itself, at most twice a second."""

    def __init__(self, out: TextIO | None) -> None:
        self._out, self._last = out, float("-inf")

    def __call__(self, share: float, words: str) -> None:
        now = time.monotonic()
        if self._out is not None and (now - self._last > _DOWNLOAD_LINE_EVERY_S or share >= 1):
            self._last = now
            self._out.write(f"\r{share:4.0%} {words:<60}")
            self._out.flush()
