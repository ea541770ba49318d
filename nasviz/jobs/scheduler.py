"""The detached scheduler of a sweep: `python -m nasviz.jobs.scheduler SWEEP_FOLDER [--slots N]`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from nasviz.errors import NasvizError
from nasviz.extensions import load_extensions
from nasviz.jobs.engines import ENGINES, scheduler_of
from nasviz.runs import Sweep

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry of the process; ends it with status 0, or 1 and the reason on standard error."""
    parser = argparse.ArgumentParser(prog="python -m nasviz.jobs.scheduler", description="See to one sweep.")
    parser.add_argument("folder", type=Path, help="folder of the sweep")
    parser.add_argument("--slots", type=int, help="runs at the same time")
    parser.add_argument("--engine", choices=ENGINES, default="local", help="where they work")
    parser.add_argument("--retry-failed", action="store_true", help="try runs again that failed")
    parser.add_argument(
        "--trust", action="append", default=[], metavar="DIR", help="folder that runs may import from"
    )
    args = parser.parse_args(arguments)
    load_extensions()
    try:
        sweep = Sweep(args.folder.resolve())
        wanted = scheduler_of(
            sweep, args.engine, slots=args.slots, retry_failed=args.retry_failed, trust=args.trust
        )
        with wanted as scheduler:
            scheduler.run()
    except NasvizError as error:
        raise SystemExit(f"{type(error).__name__}: {error}") from error


if __name__ == "__main__":
    main()
