"""The detached scheduler of a sweep: `python -m nasviz.jobs.scheduler SWEEP_FOLDER [--slots N]`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from nasviz.errors import NasvizError
from nasviz.jobs.scheduling import Scheduler
from nasviz.jobs.slots import slots_of
from nasviz.runs import Sweep

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry of the process; ends it with status 0, or 1 and the reason on standard error."""
    parser = argparse.ArgumentParser(prog="python -m nasviz.jobs.scheduler", description="See to one sweep.")
    parser.add_argument("folder", type=Path, help="folder of the sweep")
    parser.add_argument("--slots", type=int, help="runs at the same time")
    parser.add_argument("--retry-failed", action="store_true", help="try runs again that failed")
    args = parser.parse_args(arguments)
    try:
        sweep = Sweep(args.folder.resolve())
        slots = slots_of(sweep.settings, args.slots)
        with Scheduler(sweep, slots, retry_failed=args.retry_failed) as scheduler:
            scheduler.run()
    except NasvizError as error:
        raise SystemExit(f"{type(error).__name__}: {error}") from error


if __name__ == "__main__":
    main()
