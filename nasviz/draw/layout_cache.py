"""Cache of layouts on disk.

Entries are named by a hash and replaced atomically, so any number of processes may share the folder. Its size
is limited; the least recently used entries are deleted first.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

__all__ = ["LayoutCache", "cache_folder"]

LIMIT_MB = 256


def cache_folder() -> Path:
    """Return the cache folder of this user: `XDG_CACHE_HOME`, or the default of the operating system."""
    home = Path.home()
    default = {
        "darwin": home / "Library" / "Caches",
        "win32": Path(os.environ.get("LOCALAPPDATA", home / "AppData" / "Local")),
    }.get(sys.platform, home / ".cache")
    return Path(os.environ.get("XDG_CACHE_HOME") or default) / "nasviz" / "layouts"


class LayoutCache:
    """Folder of SVG files by key.

    If the folder is not writable, layouts are recomputed each time.
    """

    def __init__(self, folder: Path | None = None, limit_mb: float = LIMIT_MB) -> None:
        self.folder = folder or cache_folder()
        self.limit_mb = limit_mb

    def get(self, key: str) -> str | None:
        """Return the SVG for a key, or None if it is missing or incomplete."""
        path = self._path(key)
        try:
            svg = path.read_text(encoding="utf-8")
            os.utime(path)
        except (OSError, UnicodeDecodeError):
            return None
        return svg if svg.startswith("<svg") and svg.endswith("</svg>") else None

    def put(self, key: str, svg: str) -> None:
        """Store an SVG atomically, then delete old entries if the folder is too large."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(
                "w", encoding="utf-8", dir=self.folder, suffix=".part", delete=False
            ) as part:
                part.write(svg)
            Path(part.name).replace(self._path(key))
            self._evict()
        except OSError:
            return

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.svg"

    def _evict(self) -> None:
        entries = sorted((s.st_mtime, s.st_size, p) for p in self.folder.glob("*.svg") for s in [p.stat()])
        excess = sum(size for _, size, _ in entries) - self.limit_mb * 1e6
        for _, size, path in entries:
            if excess <= 0:
                return
            path.unlink(missing_ok=True)
            excess -= size
