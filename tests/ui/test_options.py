from __future__ import annotations

from pathlib import Path

import pytest

from nasviz.errors import InvalidSettingError
from nasviz.ui.options import parse


def test_folders_are_made_absolute_and_uploads_lie_hidden_among_the_runs(tmp_path: Path) -> None:
    found = parse(["--runs", str(tmp_path / "a/../runs"), "--trust", str(tmp_path)])
    assert found.runs == tmp_path / "runs"
    assert found.uploads.name.startswith(".")
    assert found.trust == (str(tmp_path),)
    assert parse([]).trust == ()


@pytest.mark.parametrize(
    "arguments", [["--run", "x", "--unknown"], ["--trust", "/no/such/folder"], ["--runs"]]
)
def test_what_cannot_be_used_is_told_and_does_not_end_the_server(arguments: list[str]) -> None:
    with pytest.raises(InvalidSettingError):
        parse(arguments)
