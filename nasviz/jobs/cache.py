"""Cache of results, keyed by task, request and the content of every file that determines the result."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from nasviz.catalog import DataFacts, NetworkSource
from nasviz.catalog.weights import weight_files
from nasviz.errors import WeightsError
from nasviz.guarded_files import exists, require_real_folder, require_regular

__all__ = ["ResultCache", "file_hash", "files_of", "key_of", "key_of_network", "saved_files"]


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file; it is read again only if its size or time has changed.

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
    """Return a key for a task, its arguments and the content of the files.

    Examples:
        >>> key_of("analyze", {"a": 1, "b": 2}) == key_of("analyze", {"b": 2, "a": 1})
        True
    """
    contents = [file_hash(Path(name)) for name in files]
    text = json.dumps([task, arguments, contents], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def saved_files(folder: Path | str) -> list[str]:
    """Return the files that determine a saved sub-network.

    Raises:
        WeightsError: They are gone.
        UnsafeFileError: The folder or one of them is a link, or no regular file.
    """
    folder = Path(folder)
    folder = folder.parent.resolve() / folder.name
    if exists(folder):
        require_real_folder(folder)
    paths = [folder / name for name in ("graph.json", "weights.safetensors")]
    for path in (*paths, folder / "report.json", folder / "model.py"):
        if exists(path):
            require_regular(path)
    if exists(folder / "model.py") and not exists(paths[0]):
        raise WeightsError(
            "the sub-network holds modules of a third party, which are imported by name and cannot be read"
            f" back as data: its Python source and weights lie in {folder}"
        )
    if lost := [path.name for path in paths if not exists(path)]:
        raise WeightsError(
            f"no {' and '.join(lost)} in {folder}: the sub-network was deleted; construct it again"
        )
    return [str(path) for path in paths]


def files_of(source: NetworkSource) -> list[str]:
    """Return the files that determine the network.

    Raises:
        WeightsError: They are gone, or too large.
    """
    if source.subnet is not None:
        return saved_files(source.subnet)
    if source.graph is not None:
        return [str(Path(source.graph) / "space.json")]
    if source.weights is None or source.is_published:
        return []
    return [str(file) for file in weight_files(source.weights)]  # which limits what the cache key hashes


def key_of_network(source: NetworkSource, facts: DataFacts | None = None) -> str:
    """Return a key for a network as it is built for a data set, or for none.

    Raises:
        WeightsError: Files that determine it are gone, or too large.

    Examples:
        >>> from nasviz.catalog import FACTS
        >>> demonet = NetworkSource("demonet")  # ten classes, as many as there are digits
        >>> key_of_network(demonet) == key_of_network(demonet, FACTS["digits"])
        True
    """
    entry = source.entry
    own = entry.num_classes if entry is not None else 0
    classes = source.num_classes or (facts.num_classes if facts is not None else 0) or own
    kind = source.data_kind
    wanted = {"source": source.to_json(), "classes": classes, "kind": facts.kind if facts else kind}
    return key_of("network", wanted, files_of(source))


class ResultCache:
    """The most recently used results, at most `max_entries` of them.

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
        self._entries: OrderedDict[str, Any] = OrderedDict()

    def get(self, key: str) -> Any:
        """Return the result under a key, or None."""
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
            return self._entries.get(key)

    def put(self, key: str, result: Any) -> None:
        """Keep a result; the least recently used one makes room."""
        with self._lock:
            self._entries[key] = result
            self._entries.move_to_end(key)
            while len(self._entries) > self.max_entries:
                self._entries.popitem(last=False)
