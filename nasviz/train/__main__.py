"""One process of a run under torchrun, on one machine or several.

    torchrun --nproc-per-node 2 -m nasviz.train --model demonet --target-sparsity 3 --epochs 2
    torchrun --nproc-per-node 2 -m nasviz.train --run runs/20260102-120000-demonet-1a2b3c

The options are those of `nasviz train`; `--run` goes on with a run that is there. The number of processes is
torchrun's. Only the machine of rank 0 needs the folder of the runs. After a restart by torchrun
(`--max-restarts`), all go on from the last good checkpoint of the same run.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil

from nasviz import commands
from nasviz.errors import InvalidSettingError, NasvizError
from nasviz.runs import Run, RunSettings, Store, Writer, own_folders
from nasviz.runs.files import read_json, write_json
from nasviz.train.member import end_with_parent
from nasviz.train.worker import read_back

__all__ = ["main"]

LAUNCHER = "launcher.json"
"""Which torchrun has begun a run: after a restart it is found by that."""
OVER = ("done", "failed")


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry of the process; ends it with status 0, or 1 and the reason on standard error."""
    args = _parser().parse_args(arguments)
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        raise SystemExit(
            "python -m nasviz.train is one process of several: start it by torchrun --nproc-per-node N, or"
            " let `nasviz train --nproc N` start all of them"
        )
    end_with_parent()
    try:
        _train(args)
    except NasvizError as error:
        raise SystemExit(f"{type(error).__name__}: {error}") from error


def _train(args: argparse.Namespace) -> None:
    from nasviz.train import processes
    from nasviz.train.execution import execute, take_part

    given = None if args.run is not None else _settings(args)
    # A run that is there may be anybody's: without --trust it imports only where this user has made it.
    typed = commands.require_typed([] if given is None else [given], args) or None
    own = processes.join()
    run = _run(args, given) if own.is_first else None
    told = None if run is None else [run.settings.to_json(), run.has_ended_in(OVER)]
    document, is_over = own.agree(told)
    if is_over and _num_restarts():
        return  # it ended on purpose before the restart, and its last words are on record
    if run is None:
        take_part(RunSettings.from_json(document), own, trust=_trust_of_further(args, typed))
    else:
        with Writer(run, read_back=read_back) as writer:
            commands.say(f"{run.id} in {run.folder}")
            execute(run, writer, processes=own, trust=typed)
    processes.leave()


def _trust_of_further(args: argparse.Namespace, typed: Sequence[str] | None) -> Sequence[str]:
    """Folders that a process other than the first may import from: its machine may lack the run's folder."""
    if typed is not None:
        return typed
    return own_folders(Run(args.run.resolve())) if args.run is not None and args.run.is_dir() else ()


def _settings(args: argparse.Namespace) -> RunSettings:
    """What the options describe, on as many processes as there are."""
    if args.model is None and args.config is None:
        raise InvalidSettingError("a run needs a network: --model demonet; or go on with one: --run DIR")
    world, asked = int(os.environ["WORLD_SIZE"]), getattr(args, "processes", None)
    if asked not in (None, world):
        words = f"--nproc {asked} was asked for, and torchrun has started {world} processes; leave it out"
        raise InvalidSettingError(words)
    args.processes = world
    return commands.settings_of(args)


def _run(args: argparse.Namespace, settings: RunSettings | None) -> Run:
    """A run that was named, or that of a launcher which tries again, or a new one."""
    if settings is None:
        return Run(args.run.resolve())
    launcher = _launcher()
    if _num_restarts():
        for summary in Store(args.runs).list():
            run = Store(args.runs).open(summary.id)
            if read_json(run.folder / LAUNCHER) == launcher:
                return run
    run = Store(args.runs).create(settings)
    write_json(run.folder / LAUNCHER, launcher)
    return run


def _launcher() -> dict[str, str | float]:
    """What tells this torchrun from all others: the name that its user gave the job, else its process."""
    name = os.environ["TORCHELASTIC_RUN_ID"]
    if name != "none":
        return {"job": name}
    parent = psutil.Process(os.getppid())
    return {"pid": parent.pid, "create_time": parent.create_time()}


def _num_restarts() -> int:
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="torchrun -m nasviz.train",
        description="Train one run on the processes of torchrun.",
    )
    commands.add_network(parser, "--model", metavar="NETWORK")
    commands.add_config(parser)
    commands.add_settings(parser)
    parser.add_argument("--run", type=Path, metavar="DIR", help="go on with this run, by its folder")
    parser.add_argument(
        "--runs", type=Path, default=Path("runs"), metavar="DIR", help="folder of the runs (default: runs)"
    )
    return parser


if __name__ == "__main__":
    main(sys.argv[1:])
