"""What a published table is as a sweep: its lines, the settings behind them, and what was printed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Preset", "Printed", "Row", "small"]


@dataclass(frozen=True, slots=True)
class Printed:
    """What a document prints of one result. None: not printed."""

    top1: float | None = None
    """Accuracy in percent, mean over the seeds."""
    top1_std: float | None = None
    params: float | None = None
    params_std: float | None = None
    macs: float | None = None
    num_valid: int | None = None
    """How many of the document's runs left a network."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a published table that can be run."""

    label: str
    changes: Mapping[str, Any]
    """Settings of the run that make it this line, by their name."""
    printed: Printed
    data: str = ""
    """Data set of this line, where the lines of a table have different ones."""
    small: Mapping[str, Any] | None = None
    """Network of this line where digits stand in; None for that of `changes`."""


@dataclass(frozen=True, slots=True)
class Preset:
    """A published table as a sweep."""

    name: str
    title: str
    document: str
    table: str
    data: str
    """Data set of the document, as people call it."""
    network: str
    """Of the catalog; a row may name another one."""
    rows: tuple[Row, ...]
    base: Mapping[str, Any]
    """Settings that all runs share."""
    stand_in: Mapping[str, Any]
    """What is different where digits stand in for the data set, so that it can be run anywhere."""
    seeds: tuple[int, ...] = (0, 1, 2)
    baseline_top1: float | None = None
    """Printed accuracy of the full network, percent."""
    others: tuple[tuple[str, Printed], ...] = ()
    """Results of other systems that the table prints for comparison."""
    notes: tuple[str, ...] = field(default=())


def small(network: str, size: int, **settings: Any) -> dict[str, Any]:
    """A network of the catalog for images of three channels, small enough to stand in."""
    return {"name": network, "input_shape": [3, size, size], "settings": settings}
