"""Every published table as a sweep that a person starts: on digits, for one epoch, each line to its end."""

from __future__ import annotations

from pathlib import Path

import pytest

from nasviz.catalog import PRESETS
from nasviz.cli import main
from nasviz.runs import SweepStore, cells, row_of


@pytest.mark.slow
@pytest.mark.parametrize("name", PRESETS)
def test_every_line_of_a_preset_trains_to_its_end(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short = ["--grid", "seed=0", "--epochs", "1", "--slots", "1", "--quiet", "--runs", str(tmp_path)]
    assert main(["sweep", "--preset", name, *short]) == 0
    preset = PRESETS[name]
    (summary,) = SweepStore(tmp_path).list()
    sweep = SweepStore(tmp_path).open(summary.id)
    found = cells(sweep)
    assert [row_of(preset, sweep.settings, cell) for cell in found] == list(preset.rows)
    for cell in found:
        assert cell.counts["done"] == cell.num_runs == 1
        assert cell.num_invalid or cell.metrics["params_after"].mean > 0
    table = capsys.readouterr().out
    assert f"printed in {preset.table}" in table
    assert "failed" not in table
