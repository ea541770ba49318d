"""SHA-256 checksums of result files, to detect damage when a file is read.

A saved network has them in `checksums.json`, a finished run in `end.json`. Both documents include a checksum
of themselves. Checksums detect damage; they do not authenticate the author.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from nasviz.errors import DamagedFileError
from nasviz.guarded_files import open_regular, read_regular

__all__ = [
    "CHECKSUMS",
    "OWN",
    "check",
    "manifest",
    "protected",
    "read_manifest",
    "require_own_sum",
    "sum_of_file",
]

CHECKSUMS = "checksums.json"
"""Name of the file in a saved network."""
OWN = "sha256"
"""Key of the checksum that a document has of itself."""
_MAX_BYTES = 4 * 2**20
_BLOCK = 2**20


def sum_of_file(path: Path) -> str:
    """Return the SHA-256 of a regular file, read block by block.

    Raises:
        UnsafeFileError: It is not a regular file.
        OSError: The operating system refuses access.
    """
    found = hashlib.sha256()
    with open_regular(path) as file:
        while block := file.read(_BLOCK):
            found.update(block)
    return found.hexdigest()


def protected(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a JSON document with a checksum of itself.

    Examples:
        >>> document = protected({"step": 3})
        >>> require_own_sum(document, Path("a.json"))
        >>> require_own_sum(document | {"step": 4}, Path("a.json"))
        Traceback (most recent call last):
        nasviz.errors.DamagedFileError: a.json is damaged: ...
    """
    # Normalize as JSON does, so that the sum matches when the document is read back.
    plain: dict[str, Any] = json.loads(json.dumps(document))
    return plain | {OWN: _sum_of(plain)}


def require_own_sum(document: Mapping[str, Any], path: Path) -> None:
    """Check the checksum of a document that `protected` returned.

    Raises:
        DamagedFileError: The document was changed.
    """
    rest = {name: value for name, value in document.items() if name != OWN}
    if document.get(OWN) != _sum_of(rest):
        raise _damaged(path)


def _sum_of(plain: Mapping[str, Any]) -> str:
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def manifest(files: Mapping[str, bytes]) -> bytes:
    """Return the content of `checksums.json` for files with these contents."""
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    return json.dumps(protected({"files": sums}), indent=1).encode() + b"\n"


def read_manifest(folder: Path) -> dict[str, str] | None:
    """Return the checksums of the saved network in `folder`, or None if it has none.

    Raises:
        DamagedFileError: The document was changed.
        UnsafeFileError: It is not a regular file.
    """
    path = folder / CHECKSUMS
    try:
        document = json.loads(read_regular(path, _MAX_BYTES))
        require_own_sum(document, path)
        return {str(name): str(found) for name, found in document["files"].items()}
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError, AttributeError, LookupError, TypeError) as error:
        if isinstance(error, DamagedFileError):
            raise
        raise _damaged(path) from error


def check(folder: Path, sums: Mapping[str, str], names: Iterable[str] | None = None) -> None:
    """Check files against their checksums.

    Args:
        folder: Folder of the files.
        sums: Checksums by path relative to `folder`.
        names: Files to check; None for all. Names without a checksum are skipped.

    Raises:
        DamagedFileError: A file is missing or was changed; the message names it.
        UnsafeFileError: A file is not a regular file.
    """
    for name in sums if names is None else [name for name in names if name in sums]:
        path = folder / name
        try:
            found = sum_of_file(path)
        except FileNotFoundError as error:
            raise DamagedFileError(f"{path} is missing; restore it from a backup") from error
        if found != sums[name]:
            raise _damaged(path)


def _damaged(path: Path) -> DamagedFileError:
    return DamagedFileError(
        f"{path} is damaged: its content does not match the recorded SHA-256; restore it from a backup"
    )
