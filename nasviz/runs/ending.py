"""How a run ended: one document, written last."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from nasviz.checksums import OWN, protected, require_own_sum
from nasviz.errors import DataError
from nasviz.runs.documents import RESULT, Is, first_wrong, is_table, is_text, is_time, or_none
from nasviz.runs.files import END, read_table, write_json

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
    files: Mapping[str, str] | None = None
    """SHA-256 of each file that the result rests on; None for runs of versions that kept none."""


def write_end(
    folder: Path,
    state: EndState,
    *,
    error: str | None = None,
    result: Mapping[str, Any] | None = None,
    files: Mapping[str, str] | None = None,
) -> None:
    """Put on record how the run in `folder` ended."""
    ending = Ending(state, error, time.time(), dict(result or {}), files)
    write_json(folder / END, protected(asdict(ending)))


def read_end(folder: Path) -> Ending | None:
    """How the run in `folder` ended; None where it did not.

    Raises:
        DataError: The document is damaged.
    """
    document = read_table(folder / END)
    if document is None:
        return None
    if unknown := sorted(document.keys() - _KINDS.keys() - {OWN}):
        raise DataError(f"{folder / END} is damaged: it holds {unknown[0][:40]!r}; restore it from a copy")
    if OWN in document:
        require_own_sum(document, folder / END)
    # Earlier versions wrote fewer parts; what is missing takes its default.
    ending = Ending(**({"state": ""} | {name: document[name] for name in _KINDS if name in document}))
    wrong = first_wrong({name: getattr(ending, name) for name in _KINDS}, _KINDS)
    if wrong is None and (part := first_wrong(ending.result, RESULT, only_present=True)) is not None:
        wrong = f"result.{part}"
    if wrong is not None:
        raise DataError(
            f"{folder / END} does not say how the run ended: its {wrong} is not what belongs there; restore"
            " it from a copy, or delete it to resume the run"
        )
    return ending


_KINDS: dict[str, Is] = {
    "state": lambda value: value in get_args(EndState),
    "error": or_none(is_text),
    "time": is_time,
    "result": is_table,
    "files": or_none(lambda value: is_table(value) and all(map(is_text, value.values()))),
}
"""What each part of the document is."""
