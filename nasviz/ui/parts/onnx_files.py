"""Bounded store of uploaded ONNX files, kept until the server stops.

Files are stored under generated names; the original name is only displayed. Files are parsed in a worker
process (`nasviz.jobs.ViewOnnx`), never here.
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

__all__ = ["LARGEST_MB", "OnnxFile", "UploadStore", "upload_store"]

LARGEST_MB = 500
"""Maximum size of a file, which is also the limit of the reader."""


@dataclass(frozen=True, slots=True)
class OnnxFile:
    """An uploaded file."""

    key: str
    """Random name of the stored file, which cannot be guessed."""
    name: str
    """Original name, shortened to one line; untrusted text."""


class UploadStore:
    """Least-recently-used store of uploaded files.

    Args:
        folder: Folder of the files.
        num_files: Maximum number of files.
        num_bytes: Maximum number of bytes, of all files and of one file.

    Examples:
        >>> from tempfile import mkdtemp
        >>> store = UploadStore(Path(mkdtemp()), num_files=1)
        >>> first, second = store.put(b"one", "a.onnx"), store.put(b"two", "../b.onnx")
        >>> store.find(first.key) is None, store.path(second).read_bytes(), second.name
        (True, b'two', '../b.onnx')
    """

    def __init__(self, folder: Path, *, num_files: int = 12, num_bytes: int = 2 * LARGEST_MB * 2**20) -> None:
        self.folder, self.num_files, self.num_bytes = folder, num_files, num_bytes
        self._lock = threading.Lock()
        self._files: OrderedDict[str, tuple[OnnxFile, int]] = OrderedDict()

    def put(self, content: bytes, name: str) -> OnnxFile:
        """Store a file.

        Raises:
            OnnxError: The file is too large.
        """
        largest = min(self.num_bytes, LARGEST_MB * 2**20)
        shown = shorten(clean(name), 60) or "a file without a name"
        if len(content) > largest:
            raise OnnxError(
                f"{shown} has {len(content) / 2**20:.0f} MiB; the limit is {largest / 2**20:.0f} MiB, export"
                " a smaller network"
            )
        file = OnnxFile(secrets.token_hex(12), shown)
        with self._lock:
            self._make_room(len(content))
            place(stage(self._at(file.key), content), self._at(file.key))
            self._files[file.key] = file, len(content)
        return file

    def find(self, key: str) -> OnnxFile | None:
        """Return the file of a key; None if it is unknown or was evicted."""
        with self._lock:
            if key not in self._files:
                return None
            self._files.move_to_end(key)
            return self._files[key][0]

    def path(self, file: OnnxFile) -> Path:
        """Return the path of a file.

        Raises:
            OnnxError: The file was evicted.
        """
        if self.find(file.key) is None:
            raise OnnxError(f"{file.name} is no longer stored; upload it again on the Model page")
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
def upload_store() -> UploadStore:
    """Return the store of this server, whose folder is deleted when the server stops."""
    held = ExitStack()
    atexit.register(held.close)
    return UploadStore(held.enter_context(scratch_folder("onnx")))
