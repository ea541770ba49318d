"""`make check-viewer` where node is missing: it says that it skips, and never skips in CI."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def path_without_node(tmp_path: Path) -> str:
    for name in ("make", "sh"):
        found = shutil.which(name)
        assert found
        (tmp_path / name).symlink_to(found)
    return str(tmp_path)


@pytest.mark.parametrize(("no_skip", "code", "said"), [("", 0, "SKIPPED"), ("1", 2, "needs node and npm")])
def test_the_javascript_is_skipped_aloud_and_never_in_ci(
    path_without_node: str, no_skip: str, code: int, said: str
) -> None:
    done = subprocess.run(
        ["make", "check-viewer"],
        cwd=ROOT,
        env={"PATH": path_without_node, "NASVIZ_NO_SKIP": no_skip},
        capture_output=True,
        text=True,
    )
    assert done.returncode == code
    assert said in done.stderr
