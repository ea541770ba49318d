from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from nasviz.draw import bands as cutting
from nasviz.draw.bands import Band, bands, exit_id
from nasviz.draw.dot_segment import segment_drawing
from nasviz.draw.dot_trace import trace_drawing
from nasviz.draw.drawing import Drawing, DrawnEdge, DrawnVertex
from nasviz.draw.layout_cache import LayoutCache
from nasviz.draw.stitch import lay_out
from nasviz.graph import search_space
from tests.draw.networks import staged

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(autouse=True)
def small_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cutting, "SMALL", 20)
    monkeypatch.setattr(cutting, "MIN_BAND", 8)


def plain(*edges: tuple[int, int]) -> Drawing:
    numbers = range(1 + max(v for edge in edges for v in edge))
    vertices = tuple(DrawnVertex(f"n{i}", str(i), "operator", "stem", "box", (str(i),)) for i in numbers)
    return Drawing(
        "plain", vertices, tuple(DrawnEdge(f"e{i}", f"n{a}", f"n{b}") for i, (a, b) in enumerate(edges))
    )


CHAIN = [(i, i + 1) for i in range(39)]
LONG = plain(*CHAIN, (2, 30), (2, 37), (12, 39))
"""A chain with arrows over several bands."""


def drawings() -> list[Drawing]:
    network = staged(stages=2, blocks=6)
    blocks = [path for path in network.modules if path.endswith("branch") or "blocks" in path]
    open_ = trace_drawing(network, ["stages", "stages.0", "stages.1", *blocks])
    return [LONG, segment_drawing(search_space(network)), open_]


def by_id(svg: str) -> dict[str, ElementTree.Element]:
    groups = [g for g in ElementTree.fromstring(svg).iter(f"{SVG}g") if g.get("id", "graph0") != "graph0"]
    assert len({g.get("id") for g in groups}) == len(groups)
    return {str(g.get("id")): g for g in groups}


def points(group: ElementTree.Element) -> list[tuple[float, float]]:
    text = " ".join(e.get("d", "") + e.get("points", "") for e in group)
    found = [(float(x), float(y)) for x, y in re.findall(r"(-?[\d.]+),(-?[\d.]+)", text)]
    for e in group.iter(f"{SVG}ellipse"):
        x, y, r = (float(e.get(key, "0")) for key in ("cx", "cy", "rx"))
        found += [(x - r, y - r), (x + r, y + r)]
    return found


def box(group: ElementTree.Element) -> tuple[float, float, float, float]:
    xs, ys = zip(*points(group), strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def touches(point: tuple[float, float], group: ElementTree.Element, by: float = 3.0) -> bool:
    left, top, right, bottom = box(group)
    return left - by <= point[0] <= right + by and top - by <= point[1] <= bottom + by


def test_a_small_drawing_and_one_without_a_waist_stay_whole() -> None:
    assert len(bands(plain(*CHAIN[:10]))) == 1
    assert len(bands(plain(*((a, 20 + b) for a in range(20) for b in range(20))))) == 1


@pytest.mark.parametrize("drawing", drawings()[:2], ids=["long", "segments"])
def test_bands_hold_every_vertex_and_arrow_once_and_arrows_only_go_down(drawing: Drawing) -> None:
    parts = bands(drawing)
    assert len(parts) > 2
    home = {v.id: i for i, part in enumerate(parts) for v in part.drawing.vertices}
    assert sorted(home) == sorted(v.id for v in drawing.vertices)
    edges = [e.id for part in parts for e in (*part.drawing.edges, *part.arrivals)]
    assert sorted(edges) == sorted(e.id for e in drawing.edges)
    assert all(home[e.source] <= home[e.target] for e in drawing.edges)
    assert all(max(len(part.above), len(part.below)) <= cutting.WAIST for part in parts)


def test_what_is_read_much_later_lies_with_its_reader_and_a_side_output_with_its_source() -> None:
    # 40 is an output early on; 41 reads the input and is read at the end of the chain.
    early, late = 40, 41
    parts = bands(plain(*CHAIN, (3, early), (0, late), (late, 39)))
    home = {v.id: i for i, part in enumerate(parts) for v in part.drawing.vertices}
    assert home[f"n{early}"] == 0
    assert home[f"n{late}"] == len(parts) - 1


def test_no_frame_is_cut_in_two() -> None:
    network = staged(stages=6, blocks=2)
    inner = [path for path in network.modules if path != "stages"]
    trace = trace_drawing(network, ["stages", *inner])
    assert trace.clusters[0].key == "stages"
    assert len(bands(trace)) == 1  # all lies in one module
    outside = without(trace, "stages")
    parts = bands(outside)
    assert len(parts) > 2
    assert sum(len(part.drawing.clusters) for part in parts) == len(outside.clusters)


def without(drawing: Drawing, key: str) -> Drawing:
    (gone,) = (c.id for c in drawing.clusters if c.key == key)
    vertices = tuple(replace(v, cluster=None) if v.cluster == gone else v for v in drawing.vertices)
    clusters = tuple(
        replace(c, parent=None) if c.parent == gone else c for c in drawing.clusters if c.id != gone
    )
    return Drawing(drawing.name, vertices, drawing.edges, clusters)


@pytest.mark.parametrize("drawing", drawings(), ids=["long", "segments", "open"])
def test_a_stitched_drawing_is_whole_and_its_arrows_reach_from_vertex_to_vertex(
    drawing: Drawing, tmp_path: Path
) -> None:
    svg = lay_out(drawing, drawing.to_dot(), cache=LayoutCache(tmp_path))
    groups = by_id(svg)
    assert sorted(groups) == sorted(
        [v.id for v in drawing.vertices] + [e.id for e in drawing.edges] + [c.id for c in drawing.clusters]
    )
    for edge in drawing.edges:
        line = next(e for e in groups[edge.id] if e.tag == f"{SVG}path")
        head = next(e for e in groups[edge.id] if e.tag == f"{SVG}polygon")
        path = [(float(x), float(y)) for x, y in re.findall(r"(-?[\d.]+),(-?[\d.]+)", line.get("d", ""))]
        assert len(path) % 3 == 1, "a curve has three points a piece, and one to begin with"
        assert touches(path[0], groups[edge.source])
        tip = [(float(x), float(y)) for x, y in re.findall(r"(-?[\d.]+),(-?[\d.]+)", head.get("points", ""))]
        assert any(touches(point, groups[edge.target]) for point in tip)
        assert any(abs(path[-1][0] - x) + abs(path[-1][1] - y) < 15 for x, y in tip)


def test_bands_lie_below_each_other_inside_the_picture(tmp_path: Path) -> None:
    svg = lay_out(LONG, LONG.to_dot(), cache=LayoutCache(tmp_path))
    groups, width, height = by_id(svg), *map(float, re.findall(r'viewBox="0 0 (\S+) ([^"]+)"', svg)[0])
    boxes = {name: box(group) for name, group in groups.items()}
    assert all(left >= 0 and right <= width for left, _, right, _ in boxes.values())
    assert all(top >= -18 and bottom <= height for _, top, _, bottom in boxes.values())
    parts = bands(LONG)
    lows = [max(boxes[v.id][3] for v in part.drawing.vertices) for part in parts]
    highs = [min(boxes[v.id][1] for v in part.drawing.vertices) for part in parts]
    assert all(low < high for low, high in zip(lows, highs[1:], strict=False))


def test_a_stitched_drawing_is_kept_and_the_same_every_time(tmp_path: Path) -> None:
    first = lay_out(LONG, LONG.to_dot(), cache=LayoutCache(tmp_path / "one"))
    assert lay_out(LONG, LONG.to_dot(), cache=LayoutCache(tmp_path / "two")) == first
    (kept,) = (tmp_path / "one").iterdir()
    assert kept.read_text() == first


def test_a_band_passes_on_what_it_does_not_read() -> None:
    first, *_, last = bands(LONG)
    assert isinstance(first, Band)
    assert (first.above, last.below) == ((), ())
    assert exit_id("n2") in first.to_dot()
