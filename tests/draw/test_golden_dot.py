"""DOT text, byte for byte. After a wanted change: NASVIZ_SNAPSHOTS=1 python -m pytest tests/draw."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from nasviz.draw import dependency_dot, partition_dot, segment_dot, trace_dot
from nasviz.draw.dot_trace import cell_drawing
from nasviz.graph import search_space
from tests.draw.networks import staged
from tests.graph.networks import demonet

GOLDEN = Path(__file__).with_name("golden")
CASES: dict[str, Callable[[], str]] = {
    "demonet_trace": lambda: trace_dot(demonet()),
    "demonet_segments": lambda: segment_dot(search_space(demonet())),
    "demonet_dependency": lambda: dependency_dot(search_space(demonet())),
    "demonet_partition": lambda: partition_dot(search_space(demonet())),
    "staged_closed": lambda: trace_dot(staged(), expanded=()),
    "staged_half_open": lambda: trace_dot(staged(), {"stages", "stages.1", "stages.1.blocks"}),
    "staged_open": lambda: trace_dot(staged(), staged().modules),
    "staged_cell": lambda: cell_drawing(staged(), "stages.0.blocks.1").to_dot(),
}


@pytest.mark.parametrize("name", CASES)
def test_dot_text_is_as_it_was(name: str) -> None:
    path = GOLDEN / f"{name}.dot"
    text = CASES[name]()
    if os.environ.get("NASVIZ_SNAPSHOTS"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def test_modules_of_the_same_build_share_one_layout() -> None:
    trace = staged(stages=2, blocks=3)
    cells = {cell_drawing(trace, f"stages.{i}.blocks.{j}").to_dot() for i in range(2) for j in range(3)}
    assert len(cells) == 1
