"""`nasviz sweep`: train a grid of runs; list, show, resume, stop and delete sweeps."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter, Token

from nasviz import jobs
from nasviz.catalog import PRESETS, find_preset
from nasviz.cli.consent import consent, require_typed
from nasviz.cli.options import (
    ANY_NETWORK,
    RUNS,
    AsJson,
    Config,
    Detach,
    Download,
    NetworkName,
    NetworkOptions,
    Quiet,
    RunsFolder,
    Trust,
    settings_of,
    with_settings,
)
from nasviz.cli.parsing import application
from nasviz.cli.reports import summary_document
from nasviz.cli.sweep_progress import (
    follow_sweep,
    start_sweep_detached,
    sweep_here,
    sweep_lines,
    sweep_list_lines,
)
from nasviz.cli.text import answer, progress, say
from nasviz.cli.working import download_data
from nasviz.errors import InvalidSettingError
from nasviz.guarded_files import replace_file
from nasviz.runs import BisectionSettings, Store, Sweep, SweepSettings, SweepStore, parse_axis, preset_sweep
from nasviz.runs.exporting import summaries_to_csv
from nasviz.runs.presets import STAND_IN
from nasviz.runs.sweep import is_over
from nasviz.runs.trackers import runs_to_parquet
from nasviz.settings import laid_over

__all__ = ["app"]


def _axes(kind: Any, tokens: Sequence[Token]) -> tuple[Any, ...]:
    return tuple(parse_axis(token.value) for token in tokens)


def _numbers(kind: Any, tokens: Sequence[Token]) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in tokens[0].value.split(","))
    except ValueError:
        raise ValueError(f"{tokens[0].value!r} must be numbers such as 0.1,1,10") from None


SweepName = Annotated[str, Parameter(name="SWEEP", help="Id of a sweep.")]
Slots = Annotated[
    int | None,
    Parameter(
        "--slots", metavar="N", help="Runs at the same time.", show_default=lambda _: "per GPU or core"
    ),
]
Engine = Annotated[
    Literal[jobs.ENGINES],  # type: ignore[valid-type]
    Parameter("--engine", help="Slots of this machine, or a Ray cluster (RAY_ADDRESS)."),
]

app = application(name="sweep", help="Train a grid of runs, several at a time.")


@app.default
@with_settings()
def sweep(
    *,
    model: Annotated[NetworkName | None, Parameter(name="--model", metavar="NETWORK")] = None,
    config: Config = None,
    network: NetworkOptions = ANY_NETWORK,
    grid: Annotated[
        tuple[Any, ...],
        Parameter(
            converter=_axes,
            metavar="NAME=V,V,...",
            show_default=False,
            help="Vary a setting: target_sparsity=1,2,3, seed=0..4, set.width=0.1,0.2. Once per axis.",
        ),
    ] = (),
    preset: Annotated[
        Literal[tuple(PRESETS)] | None,  # type: ignore[valid-type]
        Parameter(help="Repeat a published table; digits stand in for its data."),
    ] = None,
    published: Annotated[
        bool,
        Parameter(show_default=False, help="With --preset: use the published data, in --data-folder."),
    ] = False,
    then: Annotated[
        tuple[str, ...],
        Parameter(
            metavar="NAME=VALUE",
            negative=(),
            show_default=False,
            help="After each search, train a network of its genotype with these settings: epochs=600,"
            " set.channels=36, data=cifar100. Repeatable; with --preset, changes its second stages.",
        ),
    ] = (),
    survivors: Annotated[
        int | None,
        Parameter(
            metavar="N", help="Instead of a grid: find the mu that leaves N groups, by bisection (gsparsity)."
        ),
    ] = None,
    mu_grid: Annotated[
        tuple[float, ...],
        Parameter(
            converter=_numbers,
            metavar="V,V,...",
            show_default=lambda values: ",".join(f"{value:g}" for value in values),
            help="With --survivors: coarse values to begin with.",
        ),
    ] = BisectionSettings(0).grid,
    trials: Annotated[int, Parameter(metavar="N", help="With --survivors: maximum number of runs.")] = 10,
    stop_hopeless: Annotated[
        bool,
        Parameter(
            show_default=False,
            help="Stop runs whose accuracy stays below the median of comparable runs, from half of their"
            " steps on.",
        ),
    ] = False,
    title: Annotated[str, Parameter(show_default=False, help="Name of the sweep in lists.")] = "",
    download: Download = False,
    runs: RunsFolder = RUNS,
    slots: Slots = None,
    engine: Engine = "local",
    detach: Detach = False,
    quiet: Quiet = False,
    json: AsJson = False,
    **given: Any,
) -> int:
    """Train a grid of runs, several at a time."""
    if preset is not None:
        data, folder = "published" if published else STAND_IN, given.pop("data_folder", None)
        settings = preset_sweep(find_preset(preset), data=data, data_folder=folder, changes=given, axes=grid)
        settings = replace(settings, then=tuple(laid_over(one, _stage(then)) for one in settings.then))
    elif model is None and config is None:
        raise InvalidSettingError(
            "a sweep needs a network or a preset: --model demonet, or --preset h2spg_against_dhspg"
        )
    else:
        base, search = settings_of(model, config, network, given), None
        if survivors is not None:
            if not base.method.has("mu"):
                raise base.method.unknown("mu")
            if "max_zeros" not in given:  # mu alone decides how many groups go
                base = base.changed(max_zeros=1.0)
            search = BisectionSettings(survivors, mu_grid, trials)
        stages = (_stage(then),) if then else ()
        settings = SweepSettings(base, grid, title, bisection=search, then=stages)
    require_typed(settings.runs, network.folders, runs)
    out = progress(json=json, quiet=quiet)
    if download:
        download_data(settings.runs, out)
    made = SweepStore(runs).create(replace(settings, stop_hopeless=stop_hopeless))
    if out is not None:
        say(f"{made.id}: {_plan(made, slots, engine)}", out)
    return _work(made, network.trust, slots, engine, detach=detach, quiet=quiet, json=json)


@app.command(name="list")
def list_sweeps(*, runs: RunsFolder = RUNS, json: AsJson = False) -> int:
    """List all sweeps, the newest first."""
    summaries = SweepStore(runs).list()
    document = [{"id": one.id, "state": one.state, "counts": one.counts} for one in summaries]
    lines = sweep_list_lines(summaries) if summaries else [f"no sweeps in {runs}"]
    answer(json=json, document=document, lines=lines)
    return 0


@app.command
def show(
    sweep: SweepName,
    /,
    *,
    runs: RunsFolder = RUNS,
    follow: Annotated[bool, Parameter(show_default=False, help="First watch it until it ends.")] = False,
    csv: Annotated[Path | None, Parameter(metavar="FILE", help="Write its runs as CSV.")] = None,
    parquet: Annotated[Path | None, Parameter(metavar="FILE", help="Write its runs as Parquet.")] = None,
    json: AsJson = False,
) -> int:
    """Show one sweep: its table, with mean and deviation over seeds."""
    shown = SweepStore(runs).open(sweep)
    if follow:
        follow_sweep(shown, sys.stderr if json else sys.stdout)
    if csv is not None:
        replace_file(csv, summaries_to_csv(shown.summaries()))
    if parquet is not None:
        runs_to_parquet(shown.summaries(), parquet)
    if json or not follow:
        answer(json=json, document=_document(shown), lines=sweep_lines(shown))
    return 0


@app.command
def resume(
    sweep: SweepName,
    /,
    *,
    retry_failed: Annotated[bool, Parameter(show_default=False, help="Retry runs that failed.")] = False,
    trust: Trust = (),
    runs: RunsFolder = RUNS,
    slots: Slots = None,
    engine: Engine = "local",
    detach: Detach = False,
    quiet: Quiet = False,
    json: AsJson = False,
) -> int:
    """Resume a sweep: its unfinished runs go on from their checkpoints."""
    stopped = SweepStore(runs).open(sweep)
    return _work(
        stopped, trust, slots, engine, detach=detach, quiet=quiet, json=json, retry_failed=retry_failed
    )


@app.command
def stop(
    sweep: SweepName,
    /,
    *,
    wait: Annotated[float, Parameter(metavar="SECONDS", help="How long to wait for its end.")] = 15.0,
    runs: RunsFolder = RUNS,
    json: AsJson = False,
) -> int:
    """Stop the runs of a sweep at a checkpoint; it can be resumed."""
    asked = SweepStore(runs).open(sweep)
    has_ended = jobs.stop_sweep(asked, wait_s=wait)
    text = f"{asked.id} is {asked.state}" if has_ended else f"{asked.id} was asked to stop, still works"
    answer(json=json, document={"id": asked.id, "state": asked.state, "ended": has_ended}, lines=[text])
    return 0 if has_ended else 1


@app.command
def delete(sweep: SweepName, /, *, runs: RunsFolder = RUNS, json: AsJson = False) -> int:
    """Move a sweep and its runs to the trash."""
    SweepStore(runs).delete(sweep)
    trash = Store(runs).folder / ".trash"
    lines = [f"{sweep} and its runs are in {trash}"]
    answer(json=json, document={"id": sweep, "trash": str(trash)}, lines=lines)
    return 0


def _stage(then: Sequence[str]) -> dict[str, Any]:
    """Return the settings of a second stage."""
    return {name: value for text in then for name, value in parse_axis(text)[0].items()}


def _work(
    sweep: Sweep,
    trust: tuple[Path, ...],
    slots: int | None,
    engine: str,
    *,
    detach: bool,
    quiet: bool,
    json: bool,
    retry_failed: bool = False,
) -> int:
    """Train the runs of a sweep here or in the background, print the result, and return the exit code."""
    folders = consent(sweep, trust)
    place = shlex.join([sweep.id, "--runs", str(sweep.runs_folder)])
    if detach:
        start_sweep_detached(sweep, slots, retry_failed=retry_failed, engine=engine, trust=folders)
        lines = [f"{sweep.id} is at work; watch it: nasviz sweep show {place} --follow"]
        answer(json=json, document=_document(sweep), lines=lines)
        return 0
    out = progress(json=json, quiet=quiet)
    state, code = sweep_here(sweep, slots, out, retry_failed=retry_failed, engine=engine, trust=folders)
    if state == "done":
        code = int(any(run is not None and is_over(run, ("failed",)) for run in sweep.runs()))
        lines = list(sweep_lines(sweep)) if quiet and not json else []
    else:
        lines = [f"stopped; go on with: nasviz sweep resume {place}"]
    answer(json=json, document=_document(sweep), lines=lines)
    return code


def _plan(sweep: Sweep, slots: int | None, engine: str) -> str:
    """Return how many runs a sweep takes, and where."""
    if sweep.settings.bisection is not None:
        return f"bisection, at most {sweep.settings.bisection.most_trials} runs, one after the other"
    count = len(sweep.settings.runs)
    runs = f"{count} run{'s' * (count > 1)}"
    if trainings := count * len(sweep.settings.then):
        runs += f", then {trainings} training{'s' * (trainings > 1)} of what they find"
    if engine != "local":
        return f"{runs}, on the machines of a Ray cluster"
    names = [slot.name for slot in jobs.slots_of(sweep.settings, slots)]
    return f"{runs}, at most {len(names)} at a time ({', '.join(names[:8])}{', ...' * (len(names) > 8)})"


def _document(sweep: Sweep) -> dict[str, Any]:
    """Return a sweep and its runs as plain data."""
    runs = [None if run is None else summary_document(run) for run in sweep.summaries()]
    points = [dict(point) for point in sweep.points]
    return {
        "id": sweep.id,
        "state": sweep.state,
        "settings": sweep.settings.to_json(),
        "points": points,
        "runs": runs,
    }
