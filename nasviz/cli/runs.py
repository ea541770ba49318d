"""`nasviz runs`: list, show, resume, continue and cancel runs."""

from __future__ import annotations

import sys
from typing import Annotated

from cyclopts import Parameter

from nasviz.cli import torchrun
from nasviz.cli.consent import consent
from nasviz.cli.options import RUNS, AsJson, Detach, Quiet, RunName, RunsFolder, Trust
from nasviz.cli.parsing import application
from nasviz.cli.reports import document_of, list_lines, run_lines, summary_document
from nasviz.cli.reports import follow as watch_until_end
from nasviz.cli.text import answer
from nasviz.cli.working import work
from nasviz.runs import Store, continue_run
from nasviz.runs import open as open_run

__all__ = ["app"]

app = application(name="runs", help="List, show, resume, continue and cancel runs.")


@app.command(name="list")
def list_runs(*, runs: RunsFolder = RUNS, json: AsJson = False) -> int:
    """List all runs, the newest first."""
    summaries = Store(runs).list()
    document = [summary_document(summary) for summary in summaries]
    answer(json=json, document=document, lines=list_lines(summaries) if summaries else [f"no runs in {runs}"])
    return 0


@app.command
def show(
    run: RunName,
    /,
    *,
    runs: RunsFolder = RUNS,
    follow: Annotated[bool, Parameter(show_default=False, help="First watch it until it ends.")] = False,
    json: AsJson = False,
) -> int:
    """Show one run: settings, progress, result."""
    shown = open_run(run, runs)
    if follow:
        watch_until_end(shown, sys.stderr if json else sys.stdout)
    answer(json=json, document=document_of(shown) if json else None, lines=() if json else run_lines(shown))
    return 0


@app.command
def resume(
    run: RunName,
    /,
    *,
    trust: Trust = (),
    runs: RunsFolder = RUNS,
    detach: Detach = False,
    quiet: Quiet = False,
    json: AsJson = False,
) -> int:
    """Resume a run from its latest checkpoint."""
    if torchrun.is_member():
        return torchrun.resume_member(run, runs, trust)
    resumed = open_run(run, runs)
    if resumed.state == "paused":
        resumed.request("resume")
        answer(json=json, document=document_of(resumed), lines=[f"{resumed.id} goes on"])
        return 0
    return work(resumed, consent(resumed, trust), detach=detach, quiet=quiet, json=json)


@app.command(name="continue")
def continue_(
    run: RunName,
    /,
    *,
    epochs: Annotated[int, Parameter(metavar="N", help="Further epochs.")],
    lr: Annotated[
        float | None,
        Parameter(
            metavar="X", help="Learning rate at the first of them.", show_default=lambda _: "as before"
        ),
    ] = None,
    trust: Trust = (),
    runs: RunsFolder = RUNS,
    detach: Detach = False,
    quiet: Quiet = False,
    json: AsJson = False,
) -> int:
    """Train a finished run for more epochs, as a new run."""
    before = open_run(run, runs)
    folders = consent(before, trust)
    further = continue_run(Store(runs), before, epochs, lr=lr, is_confirmed=True)
    return work(further, folders, detach=detach, quiet=quiet, json=json)


@app.command
def cancel(
    run: RunName,
    /,
    *,
    wait: Annotated[float, Parameter(metavar="SECONDS", help="How long to wait for its end.")] = 10.0,
    runs: RunsFolder = RUNS,
    json: AsJson = False,
) -> int:
    """Stop a run at a checkpoint; it can be resumed."""
    from nasviz import jobs

    stopped = open_run(run, runs)
    has_ended = jobs.cancel_run(stopped, wait_s=wait)
    text = f"{stopped.id} is {stopped.state}" if has_ended else f"{stopped.id} was asked to stop, still works"
    answer(json=json, document={"id": stopped.id, "state": stopped.state, "ended": has_ended}, lines=[text])
    return 0 if has_ended else 1
