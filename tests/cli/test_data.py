"""Data on the command line: chosen by name or as Python, downloaded only where that was said."""

from pathlib import Path

import pytest

from nasviz.data.published import check_files
from nasviz.runs import Store
from tests.cli.conftest import SMALL, Command
from tests.data.files import write_svhn

TRAIN = ["train", "--model", *SMALL[:1], "--input", "3,8,8", *SMALL[3:], "--epochs", 1, "--runs", "@runs"]


def test_missing_files_are_told_with_their_layout(nasviz: Command, tmp_path: Path) -> None:
    said = nasviz(*TRAIN, "--data", "cifar10", "--data-folder", tmp_path)
    assert said.code == 2
    assert all(word in said.err for word in ("cifar-10-batches-py", "data_batch_1", "--download"))
    assert not Store(tmp_path / "runs").list()


def test_data_are_fetched_only_where_that_was_said(
    nasviz: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def fetch(name: str, folder: str, report: object) -> Path:
        asked.append(name)
        write_svhn(Path(folder), monkeypatch)
        return check_files(name, Path(folder))

    monkeypatch.setattr("nasviz.data.download", fetch)
    data = ["--data", "svhn", "--data-folder", tmp_path, "--batch-size", 2]
    assert nasviz(*TRAIN, *data).code == 2
    assert not asked
    said = nasviz(*TRAIN, *data, "--download")
    assert said.code == 0, said.err
    assert asked == ["svhn"]
    assert f"SVHN is in {tmp_path}" in said.out


def test_a_download_needs_a_folder_and_a_published_set(nasviz: Command, tmp_path: Path) -> None:
    said = nasviz(*TRAIN, "--data", "svhn", "--download")
    assert (said.code, "--data-folder" in said.err) == (2, True)
    own = ["--data", "mine:plates", "--trust", tmp_path, "--data-folder", tmp_path]
    said = nasviz(*TRAIN, *own, "--download")
    assert (said.code, "your own" in said.err) == (2, True)


def test_own_data_and_loss_come_from_the_trusted_folder(nasviz: Command, tmp_path: Path) -> None:
    (tmp_path / "own_plates.py").write_text(
        "import torch\n"
        "from torch.nn import functional\n"
        "def data():\n"
        "    part = torch.randn(8, 3, 8, 8), torch.arange(8) % 2\n"
        "    return part, part\n"
        "def loss(output, labels):\n"
        "    return functional.cross_entropy(output, labels)\n"
    )
    own = ["--data", "own_plates:data", "--loss", "own_plates:loss", "--batch-size", 2]
    said = nasviz(*TRAIN, *own)
    assert (said.code, "--trust DIR" in said.err) == (2, True)
    said = nasviz(*TRAIN, *own, "--trust", tmp_path)
    assert said.code == 0, said.err
    (summary,) = Store(tmp_path / "runs").list()
    assert summary.settings is not None
    assert (summary.settings.loss, summary.settings.trust) == ("own_plates:loss", (str(tmp_path),))
