"""ONNX files that visitors upload to look at: kept for as long as the server runs, and not many of them.

A file gets a name of our own; the one its owner gave is text to show and nothing else. Nothing here opens a
file: that is done in a child process (`nasviz.jobs.view_onnx`).
"""

from __future__ import annotations

import atexit
import secrets
import threading
from collections import OrderedDict
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from nasviz.draw.labels import clean, shorten
from nasviz.errors import OnnxError
from nasviz.guarded_files import place, scratch_folder, stage

__all__ = ["LARGEST_MB", "OnnxFile", "Shelf", "shelf"]

LARGEST_MB = 500
"""Of one file; what reads it looks at no more."""


@dataclass(frozen=True, slots=True)
class OnnxFile:
    """An uploaded file."""

    key: str
    """Its name here: letters and digits, not to be guessed."""
    name: str
    """As its owner calls it, cut to one plain line. Untrusted text all the same."""


class Shelf:
    """Holds the latest files; older ones make room.

    Args:
        folder: Where they lie.
        num_files: Most files at a time.
        num_bytes: Most bytes at a time, and of one file.

    Examples:
        >>> from tempfile import mkdtemp
        >>> shelf = Shelf(Path(mkdtemp()), num_files=1)
        >>> first, second = shelf.put(b"one", "a.onnx"), shelf.put(b"two", "../b.onnx")
        >>> shelf.find(first.key) is None, shelf.path(second).read_bytes(), second.name
        (True, b'two', '../b.onnx')
    """

    def __init__(self, folder: Path, *, num_files: int = 12, num_bytes: int = 2 * LARGEST_MB * 2**20) -> None:
        self.folder, self.num_files, self.num_bytes = folder, num_files, num_bytes
        self._lock = threading.Lock()
        self._files: OrderedDict[str, tuple[OnnxFile, int]] = OrderedDict()

    def put(self, content: bytes, name: str) -> OnnxFile:
        """Keep a file.

        Raises:
            OnnxError: It is larger than anything that is looked at.
        """
        largest = min(self.num_bytes, LARGEST_MB * 2**20)
        shown = shorten(clean(name), 60) or "a file without a name"
        if len(content) > largest:
            raise OnnxError(
                f"{shown} holds {len(content) / 2**20:.0f} MiB, but at most {largest / 2**20:.0f} MiB are"
                " looked at; export a smaller network"
            )
        file = OnnxFile(secrets.token_hex(12), shown)
        with self._lock:
            self._make_room(len(content))
            place(stage(self._at(file.key), content), self._at(file.key))
            self._files[file.key] = file, len(content)
        return file

    def find(self, key: str) -> OnnxFile | None:
        """The file of that key; None where it is none of ours, or had to make room."""
        with self._lock:
            if key not in self._files:
                return None
            self._files.move_to_end(key)
            return self._files[key][0]

    def path(self, file: OnnxFile) -> Path:
        """Where a file lies.

        Raises:
            OnnxError: It had to make room.
        """
        if self.find(file.key) is None:
            raise OnnxError(f"{file.name} is not kept any more: choose it again on the Model page")
        return self._at(file.key)

    def _at(self, key: str) -> Path:
        return self.folder / f"{key}.onnx"

    def _make_room(self, num_bytes: int) -> None:
        total = num_bytes + sum(size for _, size in self._files.values())
        while self._files and (len(self._files) >= self.num_files or total > self.num_bytes):
            key, (_, size) = self._files.popitem(last=False)
            self._at(key).unlink(missing_ok=True)
            total -= size


@st.cache_resource(max_entries=1, show_spinner=False)
def shelf() -> Shelf:
    """Return the files of this server; the folder goes when it ends, or with the next one if it is killed."""
    held = ExitStack()
    atexit.register(held.close)
    return Shelf(held.enter_context(scratch_folder("onnx")))
