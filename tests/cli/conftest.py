"""A network small enough to train in a second, and commands run in this process or in their own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nasviz.cli import main
from nasviz.runs import Run, Store

ROOT = Path(__file__).parents[2]
SMALL = ["demonet", "--input", "1,8,8", "--set", "width=0.1"]


class Said:
    """What a command has printed, and its exit code."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


Command = Callable[..., Said]


@pytest.fixture
def nasviz(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """Run a command here; `@runs` stands for the folder of the runs."""

    def run(*arguments: object) -> Said:
        words = [str(tmp_path / "runs") if a == "@runs" else str(a) for a in arguments]
        code = main(words)
        return Said(code, *capsys.readouterr())

    return run


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that has erased two structures."""
    runs = tmp_path_factory.mktemp("trained") / "runs"
    words = "--target-sparsity 2 --epochs 1 --batch-size 256 --device cpu --quiet --runs".split()
    assert main(["train", "--model", *SMALL, *words, str(runs)]) == 0
    return runs


@pytest.fixture
def done(trained: Path, tmp_path: Path) -> Run:
    """A run of its own for each test, in the folder `@runs`."""
    store = Store(shutil.copytree(trained, tmp_path / "runs"))
    return store.open(store.list()[0].id)


def start(*arguments: object, module: str = "nasviz") -> subprocess.Popen[str]:
    """Run a command in a process of its own, as people do."""
    return subprocess.Popen(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=ROOT,
        env={"PATH": "", "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
