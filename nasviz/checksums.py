"""SHA-256 sums of the files that a result rests on, so that a flipped bit is found where a file is read.

A saved network has them in `checksums.json`, a finished run in `end.json`. Both documents carry a sum of
themselves. The sums find damage; they do not tell who wrote a file.
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
"""Name of the document in a saved network."""
OWN = "sha256"
"""Name of the sum that a document has of itself."""
_LONGEST = 4 * 2**20
_BLOCK = 2**20


def sum_of_file(path: Path) -> str:
    """Return the sum of a regular file, read block by block.

    Raises:
        UnsafeFileError: It is no regular file.
        OSError: The system refuses it.
    """
    found = hashlib.sha256()
    with open_regular(path) as file:
        while block := file.read(_BLOCK):
            found.update(block)
    return found.hexdigest()


def protected(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document of plain data with a sum of itself.

    Examples:
        >>> document = protected({"step": 3})
        >>> require_own_sum(document, Path("a.json"))
        >>> require_own_sum(document | {"step": 4}, Path("a.json"))
        Traceback (most recent call last):
        nasviz.errors.DamagedFileError: a.json is damaged: ...
    """
    plain: dict[str, Any] = json.loads(
        json.dumps(document)
    )  # as it will be read: tuples are lists, keys are texts
    return plain | {OWN: _sum_of(plain)}


def require_own_sum(document: Mapping[str, Any], path: Path) -> None:
    """Check a document that `protected` made.

    Raises:
        DamagedFileError: It is not as it was written.
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
    """Return the sums of the saved network in `folder`; None where it has none.

    Raises:
        DamagedFileError: The document is not as it was written.
        UnsafeFileError: It is no regular file.
    """
    path = folder / CHECKSUMS
    try:
        document = json.loads(read_regular(path, _LONGEST))
        require_own_sum(document, path)
        return {str(name): str(found) for name, found in document["files"].items()}
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError, AttributeError, LookupError, TypeError) as error:
        if isinstance(error, DamagedFileError):
            raise
        raise _damaged(path) from error


def check(folder: Path, sums: Mapping[str, str], names: Iterable[str] | None = None) -> None:
    """Check files against their sums.

    Args:
        folder: That holds them.
        sums: By name, as seen from `folder`.
        names: Those to check; None for all of `sums`. One that `sums` lacks is not checked.

    Raises:
        DamagedFileError: One is gone, or not as it was written; the message names it.
        UnsafeFileError: One is no regular file.
    """
    for name in sums if names is None else [name for name in names if name in sums]:
        path = folder / name
        try:
            found = sum_of_file(path)
        except FileNotFoundError as error:
            raise DamagedFileError(f"{path} is missing; restore it from a copy") from error
        if found != sums[name]:
            raise _damaged(path)


def _damaged(path: Path) -> DamagedFileError:
    return DamagedFileError(
        f"{path} is damaged: its content does not have the SHA-256 on record; restore it from a copy"
    )
