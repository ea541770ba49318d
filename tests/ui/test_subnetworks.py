"""Cuts by hand: one folder each, so that none is taken for another, and not many of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nasviz.ui.options import Options
from nasviz.ui.parts import subnetworks


def test_every_cut_has_a_folder_of_its_own_and_the_oldest_make_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subnetworks, "options", lambda: Options(tmp_path))
    monkeypatch.setattr(subnetworks, "MOST_KEPT", 3)
    folders = []
    for age, name in enumerate("abcd"):
        folder = subnetworks._folder(name)
        folder.mkdir(parents=True)
        os.utime(folder, (age, age))
        folders.append(folder)
    assert len(set(folders)) == 4
    assert subnetworks._folder("d") == folders[-1]
    assert [folder.exists() for folder in folders] == [False, True, True, True]
