"""The arguments of `nasviz sweep` and what its sub-commands do; `nasviz.cli` adds those of a run."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nasviz import jobs
from nasviz.catalog import PRESETS, find_preset
from nasviz.commands.consent import add_trust, consent
from nasviz.commands.options import chosen_settings
from nasviz.commands.sweeping import (
    follow_sweep,
    start_sweep_detached,
    sweep_here,
    sweep_lines,
    sweep_list_lines,
)
from nasviz.commands.text import plain, say
from nasviz.errors import InvalidSettingError
from nasviz.guarded_files import replace_file
from nasviz.runs import (
    Axis,
    BisectionSettings,
    RunSettings,
    Store,
    Sweep,
    SweepSettings,
    SweepStore,
    parse_axis,
    preset_sweep,
)
from nasviz.runs.exporting import summaries_to_csv
from nasviz.runs.presets import STAND_IN
from nasviz.runs.sweep import is_over
from nasviz.runs.trackers import runs_to_parquet

__all__ = ["add_sweep_arguments", "bisection_settings", "preset_settings", "run_sweep"]


def add_sweep_arguments(parser: argparse.ArgumentParser) -> None:
    """Everything of `nasviz sweep` but the settings that its runs share."""
    parser.add_argument(
        "--grid",
        action="append",
        default=[],
        type=_axis,
        metavar="NAME=V,V,...",
        help="vary this setting, as in target_sparsity=1,2,3 or seed=0..4 or set.width=0.1,0.2; once an axis",
    )
    parser.add_argument(
        "--preset", choices=tuple(PRESETS), help="repeat a published table; digits stand in for its data"
    )
    parser.add_argument(
        "--published", action="store_true", help="with --preset: on the document's data, in --data-folder"
    )
    parser.add_argument(
        "--survivors",
        type=int,
        metavar="N",
        help="in place of a grid: search for the mu that leaves N groups, by bisection; gsparsity alone",
    )
    parser.add_argument(
        "--mu-grid",
        type=_numbers,
        default=BisectionSettings(0).grid,
        metavar="V,V,...",
        help="coarse values at which it begins (default: 0.1,1,10,100)",
    )
    parser.add_argument(
        "--trials", type=int, default=10, metavar="N", help="how many runs it may take (default: 10)"
    )
    parser.add_argument(
        "--stop-hopeless",
        action="store_true",
        help="stop a run whose accuracy stays below the median of those like it, from half of its steps on",
    )
    parser.add_argument("--title", default="", help="what the sweep is called in lists")
    parser.add_argument(
        "--runs", type=Path, default=Path("runs"), metavar="DIR", help="folder of the runs (default: runs)"
    )
    _add_work(parser)
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND")
    listing = subparsers.add_parser("list", help="all sweeps, newest first")
    _add_folder(listing)
    listing.set_defaults(command=_list)

    show = _add_command(subparsers, "show", "one sweep: its table, mean and deviation over seeds", _show)
    show.add_argument("--follow", action="store_true", help="first watch it until it ends")
    show.add_argument("--json", action="store_true", help="as JSON")
    show.add_argument("--csv", type=Path, metavar="FILE", help="write its runs there, one line each")
    show.add_argument("--parquet", type=Path, metavar="FILE", help="write its runs there, one row each")

    resume = _add_command(subparsers, "resume", "go on with what is left, from the checkpoints", _resume)
    resume.add_argument("--retry-failed", action="store_true", help="try runs again that failed")
    add_trust(resume, "folder that its runs may import Python from, where it is not this user's own")
    _add_work(resume)

    stop = _add_command(subparsers, "stop", "stop its runs at a checkpoint; it can be resumed", _stop)
    stop.add_argument("--wait", type=float, default=15.0, metavar="SECONDS", help="for its end (default: 15)")

    _add_command(subparsers, "delete", "move it and its runs to the trash", _delete)


def preset_settings(args: argparse.Namespace) -> SweepSettings:
    """The sweep of a published table, with the options of a run in place of those of the table."""
    chosen = chosen_settings(args)
    return preset_sweep(
        find_preset(args.preset),
        data="published" if args.published else STAND_IN,
        data_folder=chosen.pop("data_folder", None),
        changes=chosen,
        axes=args.grid,
    )


def bisection_settings(base: RunSettings, args: argparse.Namespace) -> SweepSettings:
    """The search for the mu that leaves so many groups.

    Raises:
        InvalidSettingError: The optimizer has no mu, a grid was given too, or a number is out of its range.
    """
    if not base.method.has("mu"):
        raise base.method.unknown("mu")
    search = BisectionSettings(args.survivors, args.mu_grid, args.trials)
    return SweepSettings(base, tuple(args.grid), args.title, bisection=search)


def run_sweep(settings: SweepSettings, args: argparse.Namespace) -> int:
    """Create a sweep and see to it; the exit code."""
    settings = replace(settings, stop_hopeless=args.stop_hopeless)
    sweep = SweepStore(args.runs).create(settings)
    if not args.quiet:
        runs = settings.runs
        count = f"{len(runs)} run{'s' * (len(runs) > 1)}, {_slots(sweep, args)}"
        if settings.bisection is not None:
            count = f"bisection, at most {settings.bisection.most_trials} runs, one after the other"
        say(f"{sweep.id}: {count}")
    return _work(sweep, args)


def _work(sweep: Sweep, args: argparse.Namespace, *, retry_failed: bool = False) -> int:
    trust = consent(sweep, args)
    place = shlex.join([sweep.id, "--runs", str(args.runs)])
    if args.detach:
        start_sweep_detached(sweep, args.slots, retry_failed=retry_failed, engine=args.engine, trust=trust)
        say(f"{sweep.id} is at work; watch it: nasviz sweep show {place} --follow")
        return 0
    out = None if args.quiet else sys.stdout
    state, code = sweep_here(
        sweep, args.slots, out, retry_failed=retry_failed, engine=args.engine, trust=trust
    )
    if state != "done":
        say(f"stopped; go on with: nasviz sweep resume {place}")
        return code
    if args.quiet:
        _print_lines(list(sweep_lines(sweep)))
    return 1 if any(run is not None and is_over(run, ("failed",)) for run in sweep.runs()) else 0


def _slots(sweep: Sweep, args: argparse.Namespace) -> str:
    if args.engine != "local":
        return "on the machines of a Ray cluster"
    names = [slot.name for slot in jobs.slots_of(sweep.settings, args.slots)]
    return f"at most {len(names)} at a time ({', '.join(names[:8])}{', ...' * (len(names) > 8)})"


def _list(args: argparse.Namespace) -> int:
    summaries = SweepStore(args.runs).list()
    _print_lines(list(sweep_list_lines(summaries)) if summaries else [f"no sweeps in {args.runs}"])
    return 0


def _show(args: argparse.Namespace) -> int:
    sweep = _open(args)
    if args.follow:
        follow_sweep(sweep, sys.stdout)
    if args.csv is not None:
        replace_file(args.csv, summaries_to_csv(sweep.summaries()))
    if args.parquet is not None:
        runs_to_parquet(sweep.summaries(), args.parquet)
    if args.json:
        print(json.dumps(_document(sweep), indent=2))
    elif not args.follow:
        _print_lines(list(sweep_lines(sweep)))
    return 0


def _resume(args: argparse.Namespace) -> int:
    return _work(_open(args), args, retry_failed=args.retry_failed)


def _stop(args: argparse.Namespace) -> int:
    sweep = _open(args)
    has_ended = jobs.stop_sweep(sweep, wait_s=args.wait)
    say(f"{sweep.id} is {sweep.state}" if has_ended else f"{sweep.id} was asked to stop and still works")
    return 0 if has_ended else 1


def _delete(args: argparse.Namespace) -> int:
    SweepStore(args.runs).delete(args.sweep)
    say(f"{args.sweep} and its runs are in {Store(args.runs).folder / '.trash'}")
    return 0


def _document(sweep: Sweep) -> dict[str, Any]:
    """A sweep and its runs as plain data."""
    from nasviz.commands.listing import summary_document

    runs = [None if run is None else summary_document(run) for run in sweep.summaries()]
    points = [dict(point) for point in sweep.points]
    return {
        "id": sweep.id,
        "state": sweep.state,
        "settings": sweep.settings.to_json(),
        "points": points,
        "runs": runs,
    }


def _open(args: argparse.Namespace) -> Sweep:
    return SweepStore(args.runs).open(args.sweep)


def _axis(text: str) -> Axis:
    try:
        return parse_axis(text)
    except InvalidSettingError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} are no numbers; write them as 0.1,1,10") from None


def _add_command(subparsers: Any, name: str, words: str, command: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = subparsers.add_parser(name, help=words)
    parser.add_argument("sweep", metavar="SWEEP", help="id of a sweep")
    _add_folder(parser)
    parser.set_defaults(command=command)
    return parser


def _add_folder(parser: argparse.ArgumentParser) -> None:
    # No default of its own: that would hide what was said before the name of the command.
    parser.add_argument(
        "--runs", type=Path, default=argparse.SUPPRESS, metavar="DIR", help="folder of the runs"
    )


def _add_work(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--slots", type=int, metavar="N", help="runs at the same time (default: one a GPU, or one a core)"
    )
    parser.add_argument(
        "--engine",
        choices=jobs.ENGINES,
        default="local",
        help="where the runs work: slots of this machine, or a Ray cluster (RAY_ADDRESS; default: local)",
    )
    parser.add_argument("--detach", action="store_true", help="train in the background")
    parser.add_argument("--quiet", action="store_true", help="print the result only")


def _print_lines(lines: Sequence[str]) -> None:
    for line in lines:
        print(plain(line))
