"""The search space in the folder of a run."""

from __future__ import annotations

from pathlib import Path

from nasviz.errors import DataError
from nasviz.graph import SearchSpace
from nasviz.runs.files import read_json
from nasviz.runs.storage import as_damage

__all__ = ["read_space"]


def read_space(path: Path) -> SearchSpace:
    """Return the search space in the document at `path`.

    Raises:
        DataError: The document is missing or damaged.
    """
    document = read_json(path)
    if document is None:
        raise DataError(f"{path}, the search space of the run, is missing; restore it from a backup")
    with as_damage(path):
        return SearchSpace.from_json(document)
