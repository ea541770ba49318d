"""Published tables as sweeps: rows, settings and published results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Preset", "Printed", "Row", "small"]


@dataclass(frozen=True, slots=True)
class Printed:
    """Published figures of one result; None if not published."""

    top1: float | None = None
    """Accuracy in percent, mean over the seeds."""
    top1_std: float | None = None
    params: float | None = None
    params_std: float | None = None
    macs: float | None = None
    num_valid: int | None = None
    """Number of published runs with a valid sub-network."""
    top5: float | None = None
    """Top-5 accuracy in percent."""
    search_days: float | None = None
    """Cost of the search in days of one GPU, of the kind that the document used."""


@dataclass(frozen=True, slots=True)
class Row:
    """One reproducible row of a published table."""

    label: str
    changes: Mapping[str, Any]
    """Run settings of the row by name."""
    printed: Printed
    data: str = ""
    """Data set of the row, if the rows of the table differ in it."""
    small: Mapping[str, Any] | None = None
    """Network of the row for runs on digits; None for that of `changes`."""


@dataclass(frozen=True, slots=True)
class Preset:
    """A published table as a sweep."""

    name: str
    title: str
    document: str
    table: str
    data: str
    """Title of the published data set."""
    network: str
    """Name of the network in the catalog; rows may override it."""
    rows: tuple[Row, ...]
    base: Mapping[str, Any]
    """Settings shared by all runs, as the document prints them."""
    stand_in: Mapping[str, Any]
    """Settings that replace those of `base` for runs on digits, which need no download."""
    seeds: tuple[int, ...] = (0, 1, 2)
    baseline_top1: float | None = None
    """Published accuracy of the full network in percent."""
    others: tuple[tuple[str, Printed], ...] = ()
    """Published results of other methods in the table."""
    ours: tuple[str, ...] = ()
    """Settings that the document does not print: values of `base`, of rows, or defaults."""
    retraining: Mapping[str, Any] = field(default_factory=dict)
    """Printed settings with which the document trains what the search has found."""
    notes: tuple[str, ...] = ()


def small(network: str, size: int, **settings: Any) -> dict[str, Any]:
    """Return a small version of a catalog network for RGB images, for runs on digits."""
    return {"name": network, "input_shape": [3, size, size], "settings": settings}
