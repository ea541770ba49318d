"""Labels of runs and sweeps: name, tags and note. They have no influence on results."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nasviz.errors import InvalidSettingError
from nasviz.runs.files import read_table, require_folder, write_json

__all__ = ["Labels", "read_labels", "write_labels"]

LABELS = "labels.json"
MAX_NAME_LENGTH = 120
MAX_TAG_LENGTH = 40
MAX_TAGS = 20
MAX_NOTE_LENGTH = 10_000


@dataclass(frozen=True, slots=True)
class Labels:
    """Free text written by users: always shown as plain text, never used as a path, link or format string.

    Raises:
        InvalidSettingError: A text is too long, or a name or tag has several lines.
    """

    name: str = ""
    """Name shown in lists instead of the id."""
    tags: tuple[str, ...] = ()
    note: str = ""

    def __post_init__(self) -> None:
        _check_line("name", self.name, MAX_NAME_LENGTH)
        if not isinstance(self.tags, tuple) or len(self.tags) > MAX_TAGS:
            raise InvalidSettingError(f"a run takes at most {MAX_TAGS} tags; got {str(self.tags)[:80]!r}")
        for tag in self.tags:
            _check_line("tag", tag, MAX_TAG_LENGTH)
        if not isinstance(self.note, str) or len(self.note) > MAX_NOTE_LENGTH:
            raise InvalidSettingError(f"a note must be text of at most {MAX_NOTE_LENGTH:,} characters")


def read_labels(folder: Path) -> Labels:
    """Return the labels of the run or sweep in `folder`; empty if there are none.

    Raises:
        DataError: The document is not a JSON object.
        InvalidSettingError: A label is invalid.
    """
    document = read_table(folder / LABELS)
    if document is None:
        return Labels()
    tags = document.get("tags", ())
    return Labels(
        document.get("name", ""), tuple(tags) if isinstance(tags, list) else tags, document.get("note", "")
    )


def write_labels(folder: Path, labels: Labels) -> None:
    """Replace the labels of the run or sweep in `folder`.

    Raises:
        RunNotFoundError: The folder does not exist.
    """
    require_folder(folder)
    write_json(folder / LABELS, asdict(labels))


def _check_line(what: str, text: Any, limit: int) -> None:
    if not isinstance(text, str) or len(text) > limit or (text and not text.isprintable()):
        raise InvalidSettingError(
            f"a {what} must be one line of at most {limit} characters; got {str(text)[:60]!r}"
        )
