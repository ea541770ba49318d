"""Workers in processes of their own, forked from a server that has loaded torch once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nasviz.runs import Run, Store
from tests.faults.killed import Kill, work
from tests.train.conftest import short_settings

Live = Callable[..., int]


@pytest.fixture(scope="session")
def live(context: Any) -> Live:
    """Lets a worker live until it is killed or done; its exit code."""

    def one_life(run: Run, kill: Kill | None = None, **circumstances: Any) -> int:
        process = context.Process(target=work, args=(str(run.folder), kill), kwargs=circumstances)
        process.start()
        process.join(timeout=240)
        assert process.exitcode is not None, f"still alive after {kill}"
        return process.exitcode

    return one_life


@pytest.fixture(scope="session")
def straight(live: Live, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of `short_settings(result="best")` that nobody has disturbed."""
    run = Store(tmp_path_factory.mktemp("straight")).create(short_settings(result="best"))
    assert live(run) == 0
    return run


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs")
