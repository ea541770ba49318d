"""Results that need not be computed again: by task, arguments and the content of every file they name.

User Python is left out: its code may change from one minute to the next. So is what fails.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

__all__ = ["ResultCache", "file_hash", "key_of"]


def file_hash(path: Path) -> str:
    """SHA-256 of a file; read again only where its size or time has changed.

    Raises:
        OSError: It cannot be read.
    """
    stat = path.stat()
    return _hash(str(path.resolve()), stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=64)
def _hash(path: str, size: int, mtime_ns: int) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def key_of(task: str, arguments: Mapping[str, Any], files: Iterable[str] = ()) -> str:
    """One name for a task, its arguments and the content of the files.

    Examples:
        >>> key_of("analyze", {"a": 1, "b": 2}) == key_of("analyze", {"b": 2, "a": 1})
        True
    """
    contents = [file_hash(Path(name)) for name in files]
    text = json.dumps([task, arguments, contents], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


class ResultCache:
    """The latest results, at most `max_entries` of them.

    Examples:
        >>> cache = ResultCache(max_entries=1)
        >>> cache.put("a", {"x": 1}), cache.put("b", {"x": 2})
        (None, None)
        >>> cache.get("a"), cache.get("b")
        (None, {'x': 2})
    """

    def __init__(self, max_entries: int = 32) -> None:
        self.max_entries = max_entries
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, dict[str, Any]] = OrderedDict()

    def get(self, key: str) -> dict[str, Any] | None:
        """The result of that name, or None."""
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
            return self._entries.get(key)

    def put(self, key: str, result: dict[str, Any]) -> None:
        """Keep a result; the one that nobody has asked for the longest makes room."""
        with self._lock:
            self._entries[key] = result
            self._entries.move_to_end(key)
            while len(self._entries) > self.max_entries:
                self._entries.popitem(last=False)
