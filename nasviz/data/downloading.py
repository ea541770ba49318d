"""Download of published data sets, with progress, verified before unpacking.

Addresses and checksums are torchvision's. A file gets its final name only after its checksum is verified.
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
ProgressCallback = Callable[[float, str], None]
"""Callback that receives the completed share and the current step."""


@dataclass(frozen=True, slots=True)
class _File:
    urls: tuple[str, ...]
    name: str
    """Path under the folder."""
    md5: str
    unpacks: bool


def download(name: str, folder: str | Path, report: ProgressCallback = lambda share, words: None) -> Path:
    """Download a published data set into a folder; verified files that exist are not fetched again.

    Args:
        name: Name of the data set.
        folder: Target folder, created if necessary.
        report: Progress callback.

    Raises:
        UnknownNameError: No data set has this name.
        DataError: The download failed, or a file is not the published one.
    """
    facts = FACTS[find("data", name).name]
    if not facts.download_mb:
        raise DataError(f"{name} cannot be downloaded: {facts.layout or 'it comes with scikit-learn'}")
    root = Path(folder).expanduser()
    try:
        root.mkdir(parents=True, exist_ok=True)
        if not _is_complete(name, root):
            wanted = _files(name)
            for number, file in enumerate(wanted):

                def report_part(share: float, words: str, number: int = number) -> None:
                    report((number + share) / len(wanted), words)

                _fetch(file, root, report_part)
    except OSError as error:
        raise DataError(f"{data_title(name)} cannot be written to {root}: {error}") from error
    report(1.0, "checking every file")
    check_files(name, root)
    return root


def _is_complete(name: str, root: Path) -> bool:
    try:
        check_files(name, root)
    except DataError:
        return False
    return True


def _files(name: str) -> list[_File]:
    """Return the files to fetch, as listed by torchvision."""
    from torchvision import datasets

    if name == "svhn":
        rows = [datasets.SVHN.split_list[part] for part in ("train", "test")]
        return [_File((url,), file, md5, unpacks=False) for url, file, md5 in rows]
    if name in (
        idx := {"fashion_mnist": datasets.FashionMNIST, "mnist": datasets.MNIST, "kmnist": datasets.KMNIST}
    ):
        folder = FACTS[name].files[0].rpartition("/")[0]
        return [
            _File(tuple(mirror + file for mirror in idx[name].mirrors), f"{folder}/{file}", md5, unpacks=True)
            for file, md5 in idx[name].resources
        ]
    kind = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100, "stl10": datasets.STL10}[name]
    return [_File((kind.url,), kind.filename, kind.tgz_md5, unpacks=True)]


def _fetch(file: _File, root: Path, report: ProgressCallback) -> None:
    from torchvision.datasets.utils import check_integrity, extract_archive

    target = root / file.name
    target.parent.mkdir(parents=True, exist_ok=True)
    if not check_integrity(target, file.md5):
        part = target.with_name(target.name + ".part")
        _copy_from_first(file, part, report)
        if not check_integrity(part, file.md5):
            part.unlink()
            raise DataError(
                f"the download from {' and '.join(file.urls)} is not the published {target.name}: its"
                " checksum differs. Nothing was unpacked"
            )
        part.replace(target)
    if file.unpacks:
        report(1.0, f"unpacking {target.name}")
        try:
            extract_archive(str(target), str(target.parent))
        except (tarfile.TarError, EOFError, RuntimeError) as error:
            raise DataError(f"{target} cannot be unpacked: {error}") from error


def _copy_from_first(file: _File, part: Path, report: ProgressCallback) -> None:
    """Download from the first address that responds."""
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


def _copy(url: str, part: Path, report: ProgressCallback) -> None:
    with (
        urlopen(Request(url, headers={"User-Agent": "nasviz"}), timeout=TIMEOUT_S) as source,
        part.open("wb") as to,
    ):
        total, done = int(source.headers.get("Content-Length") or 0), 0
        if total and total > shutil.disk_usage(part.parent).free:
            raise DataError(f"{part.parent} has not enough space for {total / 1e6:,.0f} MB")
        while chunk := source.read(CHUNK):
            to.write(chunk)
            done += len(chunk)
            share = done / total if total else 0.0
            report(share, f"{part.stem}: {done / 1e6:,.0f} of {total / 1e6:,.0f} MB")
