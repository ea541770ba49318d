"""The end of a run: the document `end.json`, which is written last."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from nasviz.checksums import OWN, protected, require_own_sum
from nasviz.errors import DataError
from nasviz.runs.documents import RESULT_CHECKS, Check, first_invalid, is_table, is_text, is_time, or_none
from nasviz.runs.files import END, read_table, write_json

__all__ = ["EndState", "Ending", "read_end", "write_end"]

EndState = Literal["done", "cancelled", "failed"]


@dataclass(frozen=True, slots=True)
class Ending:
    """Content of `end.json`."""

    state: EndState
    error: str | None = None
    """Reason why the run failed."""
    time: float = 0.0
    """Seconds since 1970."""
    result: Mapping[str, Any] = field(default_factory=dict)
    """Final report of a finished run."""
    files: Mapping[str, str] | None = None
    """SHA-256 of each file that the result depends on; None for runs of versions without checksums."""


def write_end(
    folder: Path,
    state: EndState,
    *,
    error: str | None = None,
    result: Mapping[str, Any] | None = None,
    files: Mapping[str, str] | None = None,
) -> None:
    """Record how the run in `folder` ended."""
    ending = Ending(state, error, time.time(), dict(result or {}), files)
    write_json(folder / END, protected(asdict(ending)))


def read_end(folder: Path) -> Ending | None:
    """Return how the run in `folder` ended, or None if it has not ended.

    Raises:
        DataError: The document is damaged.
    """
    document = read_table(folder / END)
    if document is None:
        return None
    if unknown := sorted(document.keys() - _CHECKS.keys() - {OWN}):
        raise DataError(f"{folder / END} is damaged: unknown {unknown[0][:40]!r}; restore it from a backup")
    if OWN in document:
        require_own_sum(document, folder / END)
    # Earlier versions wrote fewer entries; missing ones take their default.
    ending = Ending(**({"state": ""} | {name: document[name] for name in _CHECKS if name in document}))
    wrong = first_invalid({name: getattr(ending, name) for name in _CHECKS}, _CHECKS)
    if wrong is None and (part := first_invalid(ending.result, RESULT_CHECKS, only_present=True)) is not None:
        wrong = f"result.{part}"
    if wrong is not None:
        raise DataError(
            f"{folder / END} is damaged: its entry {wrong} is missing or invalid; restore it from a backup,"
            " or delete it to resume the run"
        )
    return ending


_CHECKS: dict[str, Check] = {
    "state": lambda value: value in get_args(EndState),
    "error": or_none(is_text),
    "time": is_time,
    "result": is_table,
    "files": or_none(lambda value: is_table(value) and all(map(is_text, value.values()))),
}
