"""`nasviz ablation`: sparse optimizers compared on digits, their results in a folder."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, TextIO

from cyclopts import Parameter

from nasviz.cli.options import AsJson, Quiet
from nasviz.cli.text import answer, progress
from nasviz.errors import InvalidSettingError
from nasviz.guarded_files import replace_file
from nasviz.runs.ablation import AblationPoint
from nasviz.runs.ablation_folder import AblationFolder

__all__ = ["ablation", "run_ablation"]


def ablation(
    folder: Annotated[Path, Parameter(name="DIR", help="Folder for ablation.csv and ablation.html.")],
    /,
    *,
    seeds: Annotated[int, Parameter(metavar="N", help="Number of seeds.")] = 3,
    epochs: Annotated[int, Parameter(metavar="N", help="Epochs of each training.")] = 60,
    quiet: Quiet = False,
    json: AsJson = False,
) -> int:
    """Compare sparse optimizers on digits, in a table and four plots."""
    from nasviz.draw.run_charts import ablation_chart

    points = run_ablation(folder, seeds, epochs, progress(json=json, quiet=quiet))
    chart = folder / "ablation.html"
    replace_file(chart, ablation_chart(points).to_html())
    lines = [f"{len(points)} rows in {folder / 'ablation.csv'}, four plots in {chart}"]
    answer(json=json, document=[asdict(point) for point in points], lines=lines)
    return 0


def run_ablation(folder: Path, seeds: int, epochs: int, out: TextIO | None) -> list[AblationPoint]:
    """Train all combinations, some minutes on a processor; the table in `folder` grows with every training.

    Rows that the table has already are kept, so give other epochs another folder.

    Args:
        folder: Created if missing.
        seeds: How many, from 0 on.
        epochs: Of each training.
        out: Where progress is printed; None for nowhere.

    Raises:
        InvalidSettingError: `seeds` or `epochs` is below 1.
    """
    if seeds < 1 or epochs < 1:
        raise InvalidSettingError(f"--seeds {seeds} --epochs {epochs}: both must be at least 1")
    from nasviz.train.ablation_worker import work_through

    place = AblationFolder(folder)
    if (known := len(place.points)) and out is not None:
        out.write(f"{known} rows exist already and are kept\n")
    for point in work_through(place, seeds, epochs):
        if out is not None:
            words = f"seed {point.seed}, {point.series}, lambda {point.strength:.2g}"
            out.write(f"{words}: accuracy {point.accuracy:.1%}, zeros {point.zeros:.1%}\n")
    return place.points
