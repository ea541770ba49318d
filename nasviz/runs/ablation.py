"""Results of the ablation of sparse optimizers on digits, as plain data (SparseNAS, figure 3)."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from statistics import fmean, pstdev
from typing import Any

from nasviz.errors import DataError
from nasviz.runs.exporting import cell

__all__ = ["MEASURES", "TRAININGS_PER_SEED", "AblationPoint", "curve", "points_to_csv", "read_points"]

MEASURES = {
    "accuracy": "Accuracy of the sparse network",
    "features": "Input features used, of 64",
    "neurons": "Hidden neurons left, of 60",
    "zeros": "Share of the 3,560 weights that are zero",
}
"""Axis title of each plot, by the field of `AblationPoint` that it shows."""
TRAININGS_PER_SEED = 36
"""Six pairs of an optimizer and a regulariser, at six values of lambda."""


@dataclass(frozen=True, slots=True)
class AblationPoint:
    """Result of one trained perceptron at one threshold."""

    optimizer: str
    """`sgd`, `adam`, `hapg` or `adamhapg`."""
    regulariser: str
    """`lasso`, `gl` or `sgl`."""
    strength: float
    """Weight lambda of the regulariser."""
    seed: int
    threshold: float
    """Weights of at most this magnitude are set to zero."""
    accuracy: float
    """Accuracy on the validation images after thresholding."""
    features: int
    """Input features with a nonzero weight."""
    neurons: int
    """Hidden neurons with a nonzero outgoing weight."""
    zeros: float
    """Share of zero weights."""

    @property
    def series(self) -> str:
        """Name of the curve that the point belongs to."""
        return f"{self.optimizer}, {self.regulariser}"


def curve(
    points: Iterable[AblationPoint], series: str, measure: str, threshold: float
) -> list[tuple[float, float, float]]:
    """Return (lambda, mean, standard deviation) of a measure over the seeds, in ascending order of lambda."""
    found: dict[float, list[float]] = {}
    for point in points:
        if point.series == series and point.threshold == threshold:
            found.setdefault(point.strength, []).append(float(getattr(point, measure)))
    return [(strength, fmean(values), pstdev(values)) for strength, values in sorted(found.items())]


def points_to_csv(points: Sequence[AblationPoint]) -> str:
    """Return a CSV table with a header and one row per point."""
    text = io.StringIO()
    table = csv.DictWriter(text, [field.name for field in fields(AblationPoint)])
    table.writeheader()
    table.writerows({name: cell(value) for name, value in asdict(point).items()} for point in points)
    return text.getvalue()


def read_points(content: bytes) -> list[AblationPoint]:
    """Return the points of a table that `points_to_csv` wrote.

    Raises:
        DataError: The content is not such a table.
    """
    kinds: dict[str, Callable[[str], Any]] = dict.fromkeys(
        ("strength", "threshold", "accuracy", "zeros"), float
    )
    kinds |= dict.fromkeys(("seed", "features", "neurons"), int)
    try:
        return [
            AblationPoint(**{name: kinds.get(name, str)(text) for name, text in row.items()})
            for row in csv.DictReader(io.StringIO(content.decode()))
        ]
    except (ValueError, TypeError, csv.Error) as error:
        raise DataError(f"cannot read the table of results ({str(error)[:120]}); delete it") from error
