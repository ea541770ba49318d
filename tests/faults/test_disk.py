"""A disk that is full or forbidden stops a run with one sentence, and loses nothing that it had."""

from __future__ import annotations

import os
import random
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from nasviz.errors import StorageError
from nasviz.runs import Run, Store, Writer
from tests.faults.conftest import Live
from tests.faults.examining import assert_ends_alike, examine
from tests.faults.killed import Kill
from tests.runs.run_writing import record
from tests.train.conftest import short_settings

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def limited() -> Iterator[None]:
    """No file of this process grows beyond 64 KiB: what a quota does, or a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 2**10, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_does_not_fit_is_told_in_words_and_what_was_there_stays(
    store: Store, request: pytest.FixtureRequest
) -> None:
    from nasviz.runs.files import write_bytes

    run = store.create(short_settings())
    path = run.folder / "best.pt"
    write_bytes(path, b"old")
    request.getfixturevalue("limited")
    with pytest.raises(StorageError, match=r"best\.pt cannot be written: the disk is full; free some space"):
        write_bytes(path, b"x" * 10**6)
    assert path.read_bytes() == b"old"
    assert sorted(item.name for item in run.folder.iterdir()) == ["best.pt", "config.json"]


def write_on(run: Run) -> None:
    with Writer(run) as writer:
        for step in range(1, 10**5):
            writer.step(record(step))


def test_a_store_that_cannot_grow_ends_its_run_with_the_reason_and_goes_on_later(
    store: Store, request: pytest.FixtureRequest
) -> None:
    run = store.create(short_settings())
    with Writer(run) as writer:
        writer.describe(total_steps=10**6)
        writer.step(record(0))
    request.getfixturevalue("limited")
    with pytest.raises(StorageError, match=r"run\.db cannot be"):
        write_on(run)
    assert run.state == "failed"
    assert "run.db cannot be" in run.end.error
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    examine(run)
    last_step = run.tail().last_step
    with Writer(run) as writer:
        writer.step(record(last_step + 1))
        writer.finish("done")
    assert run.tail().steps.step.tolist() == list(range(last_step + 2))


@pytest.fixture
def small_disk() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="nasviz-disk-"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
    folder.rmdir()


def leave_free(disk: Path, num_bytes: int) -> None:
    """Fill the disk up to so much."""
    filler = disk / "filler"
    filler.unlink(missing_ok=True)
    state = os.statvfs(disk)
    size = max(1, state.f_bavail * state.f_frsize - num_bytes)
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, size)


@pytest.mark.slow  # mounting a disk takes rights that a test cannot ask for everywhere
def test_a_disk_that_fills_up_anywhere_loses_nothing(
    live: Live, straight: Run, small_disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = short_settings(result="best")
    disk = Store(small_disk / "runs")
    run, chance = disk.create(settings), random.Random(0)
    lines = []
    for free in [0, *sorted(chance.randrange(2**12, 1280 * 2**10) for _ in range(14))]:
        leave_free(small_disk, free)
        code = live(run)
        (summary,) = disk.list()
        (small_disk / "filler").unlink()
        examine(run)
        lines.append(f"{free / 2**10:.0f} KiB free: {run.state} at step {run.tail().last_step}")
        if code == 0:
            break
        assert run.state in ("failed", "crashed", "created"), run.state
        assert run.state != "failed" or "the disk is full" in summary.error
    with capsys.disabled():
        print("\n" + "\n".join(lines))
    assert len(lines) >= 5
    if run.state != "done":
        assert live(run) == 0
    assert_ends_alike(straight, run)


def test_a_full_disk_makes_no_half_run(tmp_path: Path, limited: None) -> None:
    store = Store(tmp_path / "runs")
    settings = short_settings(protect=tuple(f"structure {i}" * 9 for i in range(2000)))
    with pytest.raises(StorageError, match="disk is full"):
        store.create(settings)
    assert list(store.folder.iterdir()) == []


def test_a_right_that_is_lost_stops_the_run_with_a_sentence_until_it_is_given_back(
    store: Store, live: Live, straight: Run
) -> None:
    run = store.create(short_settings(result="best"))
    assert live(run, Kill("step", count=7, action="forbid"), is_humble=True) == 1
    assert run.state == "crashed"
    assert live(run, is_humble=True) == 1, "it must not start where it cannot write"
    examine(run)

    run.folder.chmod(0o755)
    assert live(run, is_humble=True) == 0
    assert_ends_alike(straight, run)


LOOK = """
import sys
from pathlib import Path
from tests.faults.privilege import give_up
give_up()
folder = Path(sys.argv[1])
from nasviz import cli
from nasviz.runs import Store
for summary in Store(folder).list():
    print(summary.id, summary.state, summary.step, summary.problem)
    print(cli.main(["runs", "show", summary.id, "--runs", str(folder)]))
    print(cli.main(["runs", "cancel", summary.id, "--runs", str(folder)]))
print(cli.main(["runs", "list", "--runs", str(folder / "open" / "shut")]))
"""


def test_who_may_only_read_sees_the_runs_and_is_told_what_they_may_not(tmp_path: Path) -> None:
    store = Store(tmp_path)
    crashed, locked = (store.create(short_settings(), run_id=name) for name in ("crashed", "locked"))
    with Writer(crashed) as writer:
        writer.describe(total_steps=10)
        writer.step(record(0))
    (tmp_path / "open" / "shut").mkdir(parents=True)
    (tmp_path / "open" / "shut").chmod(0o000)
    crashed.folder.chmod(0o555)
    locked.folder.chmod(0o000)
    tmp_path.chmod(0o555)
    asked = [sys.executable, "-c", LOOK, str(tmp_path)]
    found = subprocess.run(asked, cwd=REPOSITORY, capture_output=True, text=True, timeout=240, check=False)
    for path in (tmp_path, locked.folder, crashed.folder, tmp_path / "open" / "shut"):
        path.chmod(0o755)

    assert found.returncode == 0, found.stderr
    assert "crashed crashed 0 None" in found.stdout
    assert "locked failed -1 " in found.stdout
    assert "permission denied" in found.stdout
    assert "Traceback" not in found.stderr
    refused = found.stderr.splitlines()
    assert len(refused) == 4, "one line for each of: cancel, show and cancel of the locked one, list"
    assert all("permission denied" in line for line in refused)
