"""The ablation of sparse optimizers on digits: all its trainings here and now, their results in a folder."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TextIO

from nasviz.errors import InvalidSettingError
from nasviz.runs.ablation import AblationPoint
from nasviz.runs.ablation_folder import AblationFolder

__all__ = ["add_ablation_arguments", "run_ablation"]


def add_ablation_arguments(parser: argparse.ArgumentParser) -> None:
    """Where the results go, and how much is trained."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="for ablation.csv and ablation.html")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="how many seeds (default: 3)")
    parser.add_argument("--epochs", type=int, default=60, metavar="N", help="of each training (default: 60)")
    parser.add_argument("--quiet", action="store_true", help="print the result only")


def run_ablation(folder: Path, seeds: int, epochs: int, out: TextIO | None) -> list[AblationPoint]:
    """Train all of it, some minutes on a processor; the table in `folder` grows with every training.

    What the table has already is left alone, so give other epochs another folder.

    Args:
        folder: Made where it is not there.
        seeds: How many, from 0 on.
        epochs: Of each training.
        out: Where progress is printed; None for nowhere.

    Raises:
        InvalidSettingError: Less than one seed or epoch.
    """
    if seeds < 1 or epochs < 1:
        raise InvalidSettingError(f"--seeds {seeds} --epochs {epochs}: both must be at least 1")
    from nasviz.train.ablation_worker import work_through

    place = AblationFolder(folder)
    if (known := len(place.points)) and out is not None:
        out.write(f"{known} rows are there already; nothing is trained twice\n")
    for point in work_through(place, seeds, epochs):
        if out is not None:
            words = f"seed {point.seed}, {point.series}, lambda {point.strength:.2g}"
            out.write(f"{words}: accuracy {point.accuracy:.1%}, zeros {point.zeros:.1%}\n")
    return place.points
