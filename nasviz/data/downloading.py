"""Getting a published data set, when a person has asked for it: with progress, checked before it is unpacked.

Addresses and checksums are torchvision's. A file takes its name only once its checksum was right.
"""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from nasviz.catalog import FACTS, data_title, find
from nasviz.data.published import check_files
from nasviz.errors import DataError

__all__ = ["download"]

CHUNK = 2**18
TIMEOUT_S = 30.0
Report = Callable[[float, str], None]
"""Share that is done, and what is being done."""


@dataclass(frozen=True, slots=True)
class _File:
    urls: tuple[str, ...]
    name: str
    """Where it goes under the folder."""
    md5: str
    unpacks: bool


def download(name: str, folder: str | Path, report: Report = lambda share, words: None) -> Path:
    """Put a published data set into a folder; what is there and right already is not fetched again.

    Args:
        name: Of the data set.
        folder: It is made where it is missing.
        report: Hears of the progress.

    Raises:
        UnknownNameError: No data set has this name.
        DataError: It cannot be downloaded, or what came is not the published file.
    """
    facts = FACTS[find("data", name).name]
    if not facts.download_mb:
        raise DataError(f"{name} is not downloaded: {facts.layout or 'it comes with scikit-learn'}")
    root = Path(folder).expanduser()
    try:
        root.mkdir(parents=True, exist_ok=True)
        if not _is_complete(name, root):
            wanted = _files(name)
            for number, file in enumerate(wanted):

                def tell(share: float, words: str, number: int = number) -> None:
                    report((number + share) / len(wanted), words)

                _fetch(file, root, tell)
    except OSError as error:
        raise DataError(f"{root} cannot take {data_title(name)}: {error}") from error
    report(1.0, "checking every file")
    return check_files(name, root)


def _is_complete(name: str, root: Path) -> bool:
    try:
        check_files(name, root)
    except DataError:
        return False
    return True


def _files(name: str) -> list[_File]:
    """What is to be fetched, by torchvision's word."""
    from torchvision import datasets

    if name == "svhn":
        rows = [datasets.SVHN.split_list[part] for part in ("train", "test")]
        return [_File((url,), file, md5, unpacks=False) for url, file, md5 in rows]
    if name == "fashion_mnist":
        mirrors = datasets.FashionMNIST.mirrors
        return [
            _File(tuple(mirror + file for mirror in mirrors), f"FashionMNIST/raw/{file}", md5, unpacks=True)
            for file, md5 in datasets.FashionMNIST.resources
        ]
    kind = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100, "stl10": datasets.STL10}[name]
    return [_File((kind.url,), kind.filename, kind.tgz_md5, unpacks=True)]


def _fetch(file: _File, root: Path, report: Report) -> None:
    from torchvision.datasets.utils import check_integrity, extract_archive

    target = root / file.name
    target.parent.mkdir(parents=True, exist_ok=True)
    if not check_integrity(target, file.md5):
        part = target.with_name(target.name + ".part")
        _copy_from_first(file, part, report)
        if not check_integrity(part, file.md5):
            part.unlink()
            raise DataError(
                f"what came from {' and '.join(file.urls)} is not the published {target.name}: its checksum"
                " is another one. Nothing was unpacked"
            )
        part.replace(target)
    if file.unpacks:
        report(1.0, f"unpacking {target.name}")
        try:
            extract_archive(str(target), str(target.parent))
        except (tarfile.TarError, EOFError, RuntimeError) as error:
            raise DataError(f"{target} cannot be unpacked: {error}") from error


def _copy_from_first(file: _File, part: Path, report: Report) -> None:
    """From the first address that answers."""
    problems = []
    for url in file.urls:
        try:
            _copy(url, part, report)
        except (URLError, TimeoutError, ConnectionError) as error:
            problems.append(f"{urlsplit(url).hostname}: {getattr(error, 'reason', None) or error}")
        else:
            return
    part.unlink(missing_ok=True)
    raise DataError(f"{Path(file.name).name} cannot be downloaded ({'; '.join(problems)})")


def _copy(url: str, part: Path, report: Report) -> None:
    with (
        urlopen(Request(url, headers={"User-Agent": "nasviz"}), timeout=TIMEOUT_S) as source,
        part.open("wb") as to,
    ):
        total, done = int(source.headers.get("Content-Length") or 0), 0
        if total and total > shutil.disk_usage(part.parent).free:
            raise DataError(f"{part.parent} has no room for {total / 1e6:,.0f} MB")
        while chunk := source.read(CHUNK):
            to.write(chunk)
            done += len(chunk)
            share = done / total if total else 0.0
            report(share, f"{part.stem}: {done / 1e6:,.0f} of {total / 1e6:,.0f} MB")
