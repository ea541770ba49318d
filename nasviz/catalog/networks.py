"""Networks by name: the zoo and the classifiers of torchvision."""

from __future__ import annotations

from nasviz.catalog.entry import Entry
from nasviz.catalog.torchvision_networks import TORCHVISION
from nasviz.catalog.zoo import DOCUMENTS, RECURRENT

__all__ = ["NETWORKS"]

NETWORKS: dict[str, Entry] = {entry.name: entry for entry in (*DOCUMENTS, RECURRENT, *TORCHVISION)}
"""Networks by name, the zoo first."""
