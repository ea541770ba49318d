"""`nasviz ablation` writes its table and its plots."""

from __future__ import annotations

from pathlib import Path

import pytest

from nasviz.cli import main
from nasviz.runs.ablation import read_points
from nasviz.train import ablation


def test_it_writes_a_table_and_four_plots(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        ablation.digits_ablation,
        "__kwdefaults__",
        {**ablation.digits_ablation.__kwdefaults__, "strengths": (1e-3,), "compared": (("hapg", "sgl"),)},
    )
    assert main(["ablation", str(tmp_path), "--seeds", "1", "--epochs", "1"]) == 0
    points = read_points((tmp_path / "ablation.csv").read_bytes())
    assert [point.threshold for point in points] == [0.0, 1e-3]
    assert "plotly" in (tmp_path / "ablation.html").read_text().lower()
    assert "2 rows" in capsys.readouterr().out


def test_it_needs_a_seed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ablation", str(tmp_path), "--seeds", "0"]) == 2
    assert "both must be at least 1" in capsys.readouterr().err
