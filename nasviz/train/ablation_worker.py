"""The ablation as work in a folder: `python -m nasviz.train.ablation_worker FOLDER SEEDS EPOCHS`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from nasviz.errors import NasvizError
from nasviz.runs.ablation import AblationPoint
from nasviz.runs.ablation_folder import AblationFolder
from nasviz.train.ablation import THRESHOLDS, digits_ablation

__all__ = ["main", "work_through"]


def work_through(place: AblationFolder, seeds: int, epochs: int) -> Iterator[AblationPoint]:
    """Do all trainings that the table lacks, and yield the last judgement of each once it is kept.

    Ends early where somebody asks for it.

    Raises:
        RunBusyError: Somebody else works there.
    """
    with place:
        if place.is_asked_to_stop:  # while this worker was on its way
            return
        points = place.points
        for point in digits_ablation(seeds=range(seeds), epochs=epochs, known=points):
            points.append(point)
            if point.threshold == THRESHOLDS[-1]:
                place.write(points)
                yield point
                if place.is_asked_to_stop:
                    return


def main() -> None:
    """Entry of the process; ends it with status 0, or 1 and the reason on standard error."""
    parser = argparse.ArgumentParser(prog="python -m nasviz.train.ablation_worker")
    parser.add_argument("folder", type=Path)
    parser.add_argument("seeds", type=int)
    parser.add_argument("epochs", type=int)
    args = parser.parse_args()
    try:
        for _ in work_through(AblationFolder(args.folder), args.seeds, args.epochs):
            pass
    except NasvizError as error:
        raise SystemExit(f"{type(error).__name__}: {error}") from error


if __name__ == "__main__":
    main()
