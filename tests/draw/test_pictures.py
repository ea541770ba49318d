"""Graphs as files: what construction does is in the DOT, bitmaps open, and an SVG holds every vertex."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from nasviz.draw import plan_overlay, segment_view
from nasviz.draw.layout import layout
from nasviz.draw.pictures import checked_svg, painted_dot, png
from nasviz.errors import LayoutError
from nasviz.graph import search_space
from tests.graph.networks import demonet

SPACE = search_space(demonet())


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_what_goes_is_dashed_and_coloured_in_the_picture() -> None:
    view = segment_view(SPACE)
    dot = painted_dot(view, plan_overlay(view, SPACE.plan([1, 2, 10])))
    svg = layout(dot)
    assert svg.count('stroke="#d55e00"') == 3
    assert svg.count('stroke-dasharray="5,2"') >= 3
    assert "#d55e00" not in view.svg


def test_a_bitmap_opens_is_white_behind_and_never_too_large() -> None:
    view = segment_view(SPACE)
    with Image.open(io.BytesIO(png(view.dot, svg=view.svg))) as image:
        assert image.format == "PNG"
        assert image.convert("RGB").getpixel((1, 1)) == (255, 255, 255)
        sharp = image.size
    with Image.open(io.BytesIO(png(view.dot, svg='<svg width="90000pt" height="5pt">'))) as image:
        assert image.size[1] < sharp[1] / 20


def test_an_svg_that_lost_a_vertex_is_refused() -> None:
    view = segment_view(SPACE)
    assert checked_svg(view) == view.svg
    with pytest.raises(LayoutError, match="lacks 1 of"):
        checked_svg(replace(view, svg=view.svg.replace('id="n1"', 'id="other"')))
