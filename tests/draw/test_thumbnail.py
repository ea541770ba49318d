"""Small pictures: a dot for every segment, the same for the same graph, one for every network of the zoo."""

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from nasviz.catalog import NETWORKS
from nasviz.draw import segment_view, trace_view
from nasviz.draw.layout_cache import LayoutCache
from nasviz.draw.svg import NAMESPACE, sanitise
from nasviz.draw.thumbnail import OTHER, TINTS, stages, thumbnail
from nasviz.errors import LayoutError
from nasviz.graph import search_space
from tests.graph.networks import demonet

PICTURES = Path(__file__).parents[2] / "nasviz" / "ui" / "assets" / "zoo"


def dots(svg: str) -> dict[str, int]:
    """How many dots there are of each colour."""
    paths = ElementTree.fromstring(svg).iter(f"{{{NAMESPACE}}}path")
    return {str(p.get("stroke")): p.get("d", "").count("h0") for p in paths if "h0" in p.get("d", "")}


def test_every_segment_is_a_dot_in_the_colour_of_what_it_is(tmp_path: Path) -> None:
    space = search_space(demonet())
    view = segment_view(space, cache=LayoutCache(tmp_path))
    svg = thumbnail(view)
    found = dots(svg)
    assert found[TINTS["removable"]] == len(space.removable)
    assert found[TINTS["joint"]] == sum(segment.is_joint for segment in space.segments)
    assert found[TINTS["removable"]] + found[TINTS["joint"]] + found[OTHER] == len(space.segments)
    assert found[TINTS["port"]] == 2
    assert svg == thumbnail(view)


def test_the_stages_end_with_what_is_left(tmp_path: Path) -> None:
    space, cache = search_space(demonet()), LayoutCache(tmp_path)
    views = trace_view(space.trace, space=space, cache=cache), segment_view(space, cache=cache)
    _, (_, _, before), (_, _, after) = found = stages(space, (1, 2, 10), *views)
    assert [dots(svg)[TINTS["removable"]] for svg in (before, after)] == [6, 3]
    assert [text for _, text, _ in found] == [
        "817k parameters, 25 operators",
        "6 removable structures, green",
        "447k parameters, 3 structures erased",
    ]


def test_a_view_without_a_layout_has_no_picture(tmp_path: Path) -> None:
    view = segment_view(search_space(demonet()), cache=LayoutCache(tmp_path))
    with pytest.raises(LayoutError, match="no engine here"):
        thumbnail(replace(view, svg="", note="no engine here"))


@pytest.mark.parametrize("name", sorted(path.stem for path in PICTURES.glob("*.svg")))
def test_a_picture_of_the_zoo_is_small_and_safe_and_shows_every_structure(name: str) -> None:
    svg = (PICTURES / f"{name}.svg").read_text()
    assert len(svg) < 150_000
    assert sanitise(svg).count("<path") == svg.count("<path")
    assert dots(svg).get(TINTS["removable"], 0) == NETWORKS[name].published["num_structures"]
