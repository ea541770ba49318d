"""An export that does not fit leaves the old file, no half one, and names the path."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from nasviz.cli.exporting import FORMS
from nasviz.errors import StorageError
from nasviz.runs import Run, Store, Writer
from tests.runs.run_writing import record
from tests.train.conftest import short_settings

LIMIT = 64 * 2**10


@pytest.fixture(scope="module")
def long_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = Store(tmp_path_factory.mktemp("long")).create(short_settings())
    with Writer(run) as writer:
        writer.describe(total_steps=20_000)
        for step in range(20_000):
            writer.step(record(step))
        writer.finish("done")
    return run


@pytest.fixture
def limited() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("form", ["csv", "record", "parquet", "html", "onnx", "pt2"])
def test_the_old_file_stays_and_the_path_is_named(
    long_run: Run, straight: Run, tmp_path: Path, form: str, request: pytest.FixtureRequest
) -> None:
    run = long_run if form in ("csv", "record", "parquet") else straight
    path = tmp_path / f"out.{form}"
    path.write_bytes(b"old")
    request.getfixturevalue("limited")
    with pytest.raises(StorageError, match=rf"out\.{form}.* cannot be written: the disk is full"):
        FORMS[form](run, path)
    assert path.read_bytes() == b"old"
    assert [item.name for item in tmp_path.iterdir()] == [path.name]


def test_no_half_folder_is_left(straight: Run, tmp_path: Path, limited: None) -> None:
    with pytest.raises(StorageError, match=r"disk is full"):
        FORMS["folder"](straight, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", ["csv", "record", "parquet"])
def test_without_a_limit_the_file_is_replaced(long_run: Run, tmp_path: Path, form: str) -> None:
    path = tmp_path / f"out.{form}"
    path.write_bytes(b"old")
    FORMS[form](long_run, path)
    assert path.stat().st_size > LIMIT
