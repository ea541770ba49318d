"""How a run ended: one document, written last."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from nasviz.errors import DataError
from nasviz.runs.files import END, read_json, write_json

__all__ = ["EndState", "Ending", "read_end", "write_end"]

EndState = Literal["done", "cancelled", "failed"]


@dataclass(frozen=True, slots=True)
class Ending:
    """What `end.json` says."""

    state: EndState
    error: str | None = None
    """Why it failed, in words."""
    time: float = 0.0
    """Seconds since 1970."""
    result: Mapping[str, Any] = field(default_factory=dict)
    """The final report of a run that is done."""


def write_end(
    folder: Path, state: EndState, *, error: str | None = None, result: Mapping[str, Any] | None = None
) -> None:
    """Put on record how the run in `folder` ended."""
    write_json(folder / END, asdict(Ending(state, error, time.time(), dict(result or {}))))


def read_end(folder: Path) -> Ending | None:
    """How the run in `folder` ended; None where it did not.

    Raises:
        DataError: The document is damaged.
    """
    document = read_json(folder / END)
    if document is None:
        return None
    if not isinstance(document, dict) or document.get("state") not in get_args(EndState):
        raise DataError(f"{folder / END} does not say how the run ended; delete it to resume the run")
    known = {name: document[name] for name in ("state", "error", "time", "result") if name in document}
    return Ending(**known)
