"""Networks by name: the zoo and the classifiers of torchvision."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

from nasviz.catalog.datasets import DATASETS
from nasviz.catalog.entry import Entry
from nasviz.catalog.saliencies import SALIENCIES
from nasviz.catalog.torchvision_networks import TORCHVISION
from nasviz.catalog.zoo import DOCUMENTS, RECURRENT
from nasviz.errors import UnknownNameError

__all__ = ["KINDS", "NETWORKS", "find"]

NETWORKS: dict[str, Entry] = {entry.name: entry for entry in (*DOCUMENTS, RECURRENT, *TORCHVISION)}
"""Networks by name, the zoo first."""


KINDS: Mapping[str, Mapping[str, Entry]] = {
    "network": NETWORKS,
    "saliency": SALIENCIES,
    "data": DATASETS,
}
"""Tables of the catalog by kind."""
_PLURALS = {"network": "networks", "saliency": "saliencies", "data": "data sets"}


def find(kind: str, name: str) -> Entry:
    """Return the entry `name` of the table `kind`: "network", "saliency" or "data".

    Raises:
        UnknownNameError: The table or the name is unknown; the message lists the nearest names.

    Examples:
        >>> find("network", "demonet").input_shape
        (1, 28, 28)
    """
    if kind not in KINDS:
        raise UnknownNameError(f"the catalog has no table {kind!r}; its tables: {', '.join(KINDS)}")
    table = KINDS[kind]
    if name in table:
        return table[name]
    asked = name.lower().replace("-", "_") if isinstance(name, str) else ""
    nearest = get_close_matches(asked, table, n=3, cutoff=0.5) or list(table)[:5]
    more = f"; {len(table)} {_PLURALS[kind]} in total" if len(table) > len(nearest) else ""
    shown = repr(name) if len(repr(name)) <= 80 else repr(name)[:77] + "..."
    raise UnknownNameError(f"unknown {kind} {shown}; nearest: {', '.join(nearest)}{more}")
