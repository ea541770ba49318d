"""Constructors of zoo entries and of published figures."""

from __future__ import annotations

from collections.abc import Mapping

from nasviz.catalog.entry import Configuration, Entry, Figure, Selection, Setting, Value

__all__ = ["counted", "million", "network", "percent"]


def million(what: str, text: str, source: str, note: str = "") -> Figure:
    """Return a figure published in millions.

    Examples:
        >>> million("params", "0.82", "ASGNAS, table 1").value
        820000.0
    """
    return Figure(what, f"{text} M", float(text) * 1e6, source, note)


def percent(what: str, number: float, source: str, note: str = "") -> Figure:
    """Return a figure published in percent."""
    return Figure(what, f"{number:g} %", number, source, note)


def counted(params: int, macs: int, num_structures: int, max_sparsity: int, **more: int) -> dict[str, int]:
    """Return the exact counts of a network here, by quantity."""
    return {
        "params": params,
        "macs": macs,
        "num_structures": num_structures,
        "max_sparsity": max_sparsity,
    } | more


def network(
    name: str,
    title: str,
    summary: str,
    citation: str,
    *configurations: Configuration,
    settings: tuple[Setting, ...] = (),
    input_shape: tuple[int, int, int] = (3, 32, 32),
    least_size: int = 1,
    num_classes: int = 10,
    collapse: tuple[str, ...] = (),
    cells: tuple[str, ...] = (),
    edges_per_node: int = 2,
    recipe: Mapping[str, Value] | None = None,
    selection: Selection | None = None,
    builder: str,
) -> Entry:
    """Return a zoo entry; the first configuration is the default."""
    return Entry(
        name,
        title,
        summary,
        settings=settings,
        citation=citation,
        published=configurations[0].counted,
        configurations=configurations,
        recipe=recipe or {},
        selection=selection,
        collapse=collapse,
        cells=cells,
        edges_per_node=edges_per_node,
        family="documents",
        input_shape=input_shape,
        least_size=least_size,
        num_classes=num_classes,
        builder=builder,
    )
