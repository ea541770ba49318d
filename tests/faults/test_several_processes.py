"""A run on several processes opens no door: nothing listens off loopback, and nothing is unpickled."""

from __future__ import annotations

import ipaddress
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from torch.distributed import distributed_c10d

from nasviz.errors import ProcessesError
from nasviz.runs import Run, Store
from nasviz.train import launching
from tests.train.conftest import short_settings

ROOT = Path(__file__).parents[2]
PLANTED = ".processes"


def listeners(process: psutil.Process) -> set[str]:
    """Addresses at which a process or its children listen for connections or datagrams."""
    found = set()
    for member in (process, *process.children(recursive=True)):
        try:
            connections = member.net_connections("inet")
        except psutil.Error:
            continue  # it has just ended
        found |= {one.laddr.ip for one in connections if one.status in ("LISTEN", "NONE") and one.laddr}
    return found


def test_nothing_listens_off_loopback_while_two_processes_train(tmp_path: Path) -> None:
    run = Store(tmp_path / "runs").create(short_settings(processes=2))
    # A stranger's run may hold a link where the processes will meet.
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("mine")
    (run.folder / PLANTED).symlink_to(tmp_path / "precious")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "nasviz.train.worker", str(run.folder)]
    worker = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL)
    found, modes, shared = set[str](), set[int](), set[str]()
    while worker.poll() is None:
        found |= listeners(psutil.Process(worker.pid))
        meetings = [run.folder / PLANTED, *(run.folder / PLANTED).glob("*")]
        modes |= {
            path.lstat().st_mode & 0o777 for path in meetings if path.is_dir() and not path.is_symlink()
        }
        shared |= {path.name for path in (run.folder / PLANTED / "0").glob("*")}
        time.sleep(0.2)
    assert worker.returncode == 0
    assert run.state == "done"
    assert found, "the processes talk to each other, so they were not seen"
    assert all(ipaddress.ip_address(address).is_loopback for address in found), found
    assert modes == {0o700}
    assert "store" in shared  # where they found each other
    assert not (run.folder / PLANTED).exists()
    assert (tmp_path / "precious" / "file").read_text() == "mine"


def test_the_look_finds_a_listener_on_all_interfaces() -> None:
    code = "import socket; s = socket.create_server(('', 0)); print('open', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert listeners(psutil.Process(process.pid)) == {"0.0.0.0"}


def test_what_a_killed_launcher_left_is_removed_at_the_next_start(tmp_path: Path) -> None:
    place = tmp_path / PLANTED
    (place / "0").mkdir(parents=True)
    (place / "0" / "store").write_bytes(b"addresses of dead processes")
    with launching._private_folder(place):
        assert list(place.iterdir()) == []
        assert place.stat().st_mode & 0o777 == 0o700
    assert not place.exists()


def test_processes_that_die_again_and_again_are_given_up_with_the_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dying_member.py").write_text(
        "import os, pathlib, sys\n"
        "rank = os.environ['RANK']\n"
        "pathlib.Path(sys.argv[1], 'starts').open('a').write(rank)\n"
        "if rank == '1':\n"
        "    pathlib.Path(os.environ['NASVIZ_MEETING'], 'failure.1').write_text('ValueError: no luck')\n"
        "    sys.exit(1)\n"
        "import time\n"
        "time.sleep(600)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(launching, "MEMBER", "dying_member")
    monkeypatch.setattr(launching, "GRACE_S", 0.1)
    run: Run = Store(tmp_path / "runs").create(short_settings(processes=2))
    before = psutil.Process().children()
    with pytest.raises(
        ProcessesError, match="rank 1 failed, after all processes were started again 3 times: Val"
    ):
        launching.launch(run)
    assert sorted((run.folder / "starts").read_text()) == ["0"] * 4 + ["1"] * 4
    assert set(psutil.Process().children()) <= set(before)
    assert not (run.folder / PLANTED).exists()


def test_the_functions_of_torch_that_unpickle_are_where_the_tests_look_for_them() -> None:
    # tests.train.rank_children replaces it by one that fails.
    assert callable(distributed_c10d._tensor_to_object)
