"""What nasviz keeps is for its user alone, temporary files do not outlive a kill, and texts stay texts."""

from __future__ import annotations

import csv
import io
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from nasviz.cli import main
from nasviz.guarded_files import scratch_folder
from nasviz.runs import Labels, Run, Store, SweepSettings, SweepStore, Writer
from nasviz.runs.exporting import summaries_to_csv
from tests.runs.run_writing import record
from tests.train.conftest import short_settings

REPOSITORY = Path(__file__).parents[2]


def modes(folder: Path) -> dict[str, str]:
    found = {}
    for path in (folder, *folder.rglob("*")):
        mode = stat.S_IMODE(path.lstat().st_mode)
        if mode != (0o700 if path.is_dir() else 0o600):
            found[str(path.relative_to(folder))] = oct(mode)
    return found


def test_nobody_else_reads_the_files_of_a_run(straight: Run) -> None:
    assert modes(straight.folder) == {}


def test_nobody_else_reads_sweeps_and_the_trash(tmp_path: Path) -> None:
    store = Store(tmp_path)
    run = store.create(short_settings())
    with Writer(run) as writer:
        writer.step(record(0))
    run.write_labels(Labels("name"))
    SweepStore(tmp_path).create(SweepSettings(short_settings()))
    store.delete(run.id)
    assert modes(tmp_path / ".sweeps") == {}
    assert modes(tmp_path / ".trash") == {}


HOLD = """
import sys, time
from nasviz.guarded_files import scratch_folder
with scratch_folder("test") as folder:
    (folder / "upload").write_bytes(b"x" * 1000)
    print(folder, flush=True)
    time.sleep(600)
"""


def test_what_a_killed_process_left_goes_with_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD], cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, text=True
    )
    left = Path(process.stdout.readline().strip())
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with scratch_folder("test"):
        assert (left / "upload").exists(), "its process lives"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert (left / "upload").exists()
    with scratch_folder("test") as mine:
        assert list(mine.parent.iterdir()) == [mine]
    assert list(mine.parent.iterdir()) == []


FORMULAS = ["=cmd|' /C calc'!A0", "+1+1", "-1+1", "@SUM(A1)", "\u202e=1", "\uff1d1"]


def test_texts_of_a_table_are_no_formulas_and_numbers_stay_numbers(tmp_path: Path) -> None:
    store = Store(tmp_path)
    run = store.create(short_settings())
    with Writer(run) as writer:
        result = {f"x{i}": text for i, text in enumerate([*FORMULAS, "\t=1", "\r=1"])}
        writer.finish("done", result={**result, "loss_full": -0.5})
    run.write_labels(Labels("=1+1", tags=("@x",)))
    (summary,) = store.list()
    (row,) = csv.DictReader(io.StringIO(summaries_to_csv([summary])))
    assert row["name"] == "'=1+1"
    assert row["tags"] == "'@x"
    assert row["result.loss_full"] == "-0.5"
    for name, value in result.items():
        assert row[f"result.{name}"] == "'" + value.replace("\r", "\n")
    assert not [value for value in row.values() if value[:1] in "=+@\t\r" and value]


def test_steps_have_no_formulas_either(tmp_path: Path) -> None:
    from dataclasses import replace

    from nasviz.runs import steps_to_csv

    run = Store(tmp_path).create(short_settings())
    with Writer(run) as writer:
        writer.step(replace(record(0), phase="=1+1", loss=-0.5))
        writer.flush()
    (row,) = csv.DictReader(io.StringIO(steps_to_csv(run)))
    assert (row["phase"], row["loss"]) == ("'=1+1", "-0.5")


@pytest.mark.parametrize("command", [["runs", "cancel"], ["runs", "show"], ["runs", "resume"], ["export"]])
def test_a_folders_name_cannot_steer_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    run = Store(tmp_path).create(short_settings())
    evil = run.folder.rename(tmp_path / "a\x1b]0;PWN\x07")
    more = ["--csv", str(tmp_path / "x.csv")] if command == ["export"] else []
    more = ["--detach"] if command[-1] == "resume" else more
    if command[-1] == "resume":
        with Writer(Run(evil)) as writer:
            writer.finish("done")  # refused, with its name
    main([*command, str(evil), *more])
    said = capsys.readouterr()
    assert "\x1b" not in said.out + said.err
    assert "\x07" not in said.out + said.err
    assert "PWN" in said.out + said.err or command == ["export"]
