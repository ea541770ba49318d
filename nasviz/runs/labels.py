"""What people write on runs and sweeps: a name, tags, a note. Changes nothing about what they compute."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nasviz.errors import InvalidSettingError
from nasviz.runs.files import read_table, require_folder, write_json

__all__ = ["Labels", "read_labels", "write_labels"]

LABELS = "labels.json"
LONGEST_NAME = 120
LONGEST_TAG = 40
MOST_TAGS = 20
LONGEST_NOTE = 10_000


@dataclass(frozen=True, slots=True)
class Labels:
    """Free text of people: shown as text, never as a path, a link or a format.

    Raises:
        InvalidSettingError: One is too long, or not of one line where it has to be.
    """

    name: str = ""
    """Stands for the id in lists."""
    tags: tuple[str, ...] = ()
    note: str = ""

    def __post_init__(self) -> None:
        _check_line("name", self.name, LONGEST_NAME)
        if not isinstance(self.tags, tuple) or len(self.tags) > MOST_TAGS:
            raise InvalidSettingError(f"a run takes at most {MOST_TAGS} tags; got {str(self.tags)[:80]!r}")
        for tag in self.tags:
            _check_line("tag", tag, LONGEST_TAG)
        if not isinstance(self.note, str) or len(self.note) > LONGEST_NOTE:
            raise InvalidSettingError(f"a note must be text of at most {LONGEST_NOTE:,} characters")


def read_labels(folder: Path) -> Labels:
    """What is written on the run or sweep in `folder`; nothing where its document is missing.

    Raises:
        DataError: The document is not JSON.
        InvalidSettingError: It holds something else.
    """
    document = read_table(folder / LABELS)
    if document is None:
        return Labels()
    tags = document.get("tags", ())
    return Labels(
        document.get("name", ""), tuple(tags) if isinstance(tags, list) else tags, document.get("note", "")
    )


def write_labels(folder: Path, labels: Labels) -> None:
    """Write `labels` on the run or sweep in `folder`, in place of what stood there.

    Raises:
        RunNotFoundError: The folder is gone.
    """
    require_folder(folder)
    write_json(folder / LABELS, asdict(labels))


def _check_line(what: str, text: Any, longest: int) -> None:
    if not isinstance(text, str) or len(text) > longest or (text and not text.isprintable()):
        raise InvalidSettingError(
            f"a {what} must be one line of at most {longest} characters; got {str(text)[:60]!r}"
        )
