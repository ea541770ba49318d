"""Downloads come from a server of this test: with progress, checked before they are unpacked, never half."""

import gzip
import hashlib
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from nasviz.data import download, load
from nasviz.errors import DataError
from tests.data.files import TRAIN, md5, write_cifar, write_fashion_mnist, write_svhn


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def patch() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    folder = tmp_path / "served"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def serve_cifar(served: tuple[Path, str], patch: pytest.MonkeyPatch) -> None:
    from torchvision.datasets import CIFAR10

    folder, address = served
    write_cifar(folder, patch)
    with tarfile.open(folder / CIFAR10.filename, "w:gz") as archive:
        archive.add(folder / CIFAR10.base_folder, CIFAR10.base_folder)
    patch.setattr(CIFAR10, "url", address + CIFAR10.filename)
    patch.setattr(CIFAR10, "tgz_md5", md5(folder / CIFAR10.filename))


def test_an_archive_is_fetched_checked_and_unpacked(
    served: tuple[Path, str], tmp_path: Path, patch: pytest.MonkeyPatch
) -> None:
    serve_cifar(served, patch)
    heard: list[float] = []
    root = download("cifar10", tmp_path / "new" / "data", lambda share, words: heard.append(share))
    assert heard == sorted(heard)
    assert heard[-1] == 1
    assert len(load("cifar10", image_shape=(3, 32, 32), folder=root).train) == TRAIN // 5 * 5
    assert not list(root.glob("*.part"))
    patch.setattr("nasviz.data.downloading._fetch", None)  # nothing is fetched twice
    assert download("cifar10", root) == root


def test_an_archive_with_another_checksum_is_not_unpacked(
    served: tuple[Path, str], tmp_path: Path, patch: pytest.MonkeyPatch
) -> None:
    from torchvision.datasets import CIFAR10

    serve_cifar(served, patch)
    patch.setattr(CIFAR10, "tgz_md5", hashlib.md5(b"published").hexdigest())
    with pytest.raises(DataError, match=r"differs.* Nothing was unpacked"):
        download("cifar10", tmp_path / "data")
    assert not list((tmp_path / "data").iterdir())


def test_packed_files_come_from_the_first_mirror_that_answers(
    served: tuple[Path, str], tmp_path: Path, patch: pytest.MonkeyPatch
) -> None:
    from torchvision.datasets import FashionMNIST

    folder, address = served
    write_fashion_mnist(folder, patch)
    rows = []
    for name, _ in FashionMNIST.resources:
        plain = folder / "FashionMNIST" / "raw" / name.removesuffix(".gz")
        (folder / name).write_bytes(gzip.compress(plain.read_bytes()))
        rows.append((name, md5(folder / name)))
    patch.setattr(FashionMNIST, "resources", rows)
    patch.setattr(FashionMNIST, "mirrors", ["http://127.0.0.1:9/", address])
    root = download("fashion_mnist", tmp_path / "data")
    assert len(load("fashion_mnist", image_shape=(1, 28, 28), folder=root).train) == TRAIN


def test_single_files_are_fetched_where_they_are_missing(
    served: tuple[Path, str], tmp_path: Path, patch: pytest.MonkeyPatch
) -> None:
    from torchvision.datasets import SVHN

    folder, address = served
    write_svhn(folder, patch)
    listed = {part: [address + row[1], *row[1:]] for part, row in SVHN.split_list.items()}
    patch.setattr(SVHN, "split_list", listed)
    root = download("svhn", tmp_path / "data")
    (folder / "train_32x32.mat").unlink()
    (root / "test_32x32.mat").unlink()
    assert len(load("svhn", image_shape=(3, 32, 32), folder=download("svhn", root)).train) == TRAIN
    (root / "test_32x32.mat").unlink()
    (folder / "test_32x32.mat").unlink()
    with pytest.raises(DataError, match=r"test_32x32.mat cannot be downloaded \(127"):
        download("svhn", root)
    assert not list(root.glob("*.part"))


def test_what_is_nowhere_published_is_not_downloaded(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="comes with scikit-learn"):
        download("digits", tmp_path)
    with pytest.raises(DataError, match="train and val"):
        download("image_folder", tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="CIFAR-10 cannot be written"):
        download("cifar10", tmp_path / "file")
