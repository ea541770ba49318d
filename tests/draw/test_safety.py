"""Names come from models: whatever they hold, a drawing has the same elements and shows them as text."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nasviz.draw import segment_dot, trace_view
from nasviz.draw.labels import clean, label, table_label
from nasviz.draw.layout_cache import LayoutCache
from nasviz.draw.svg import ATTRIBUTES, ELEMENTS, sanitise
from nasviz.errors import LayoutError
from nasviz.graph import search_space
from tests.draw.networks import named

HOSTILE = [
    '"] ; evil [label="x',
    "\\N \\G \\l \\",
    "<b>bold</b>",
    "<<table><tr><td href='javascript:alert(1)'>x</td></tr></table>>",
    "</text><script>alert(1)</script>",
    "&lt;script&gt; &amp; &#60; &",
    "a\nb\x00c\u202ed\ud800e",
    "URL=javascript:alert(1)",
    "x' onload='alert(1)",
    "]]> --> <!-- <?xml <!ENTITY",
    "n0",
    "",
    " ",
]
SVG = "{http://www.w3.org/2000/svg}"
any_name = st.text(alphabet=st.characters(exclude_categories=[]), max_size=30)


def shape_of(svg: str) -> list[tuple[str, str | None, tuple[str, ...]]]:
    """Tag, id and class of every element but texts, in order: what a name must not be able to change."""
    elements = ElementTree.fromstring(svg).iter()
    return [(e.tag, e.get("id"), tuple(sorted(e.attrib))) for e in elements if e.tag not in (f"{SVG}text",)]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> LayoutCache:
    return LayoutCache(tmp_path_factory.mktemp("layouts"))


@pytest.mark.skipif(shutil.which("dot") is None, reason="the program `dot` is not installed")
@given(st.lists(any_name | st.sampled_from(HOSTILE), min_size=2, max_size=3, unique=True))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_name_breaks_out_of_its_label(cache: LayoutCache, names: list[str]) -> None:
    tame = trace_view(named(*(f"name{i}" for i in range(len(names)))), cache=cache)
    view = trace_view(named(*names), cache=cache)
    assert view.note == ""
    assert shape_of(view.svg) == shape_of(tame.svg)
    json.dumps(view.payload()).encode("utf-8")


@pytest.mark.skipif(shutil.which("dot") is None, reason="the program `dot` is not installed")
@pytest.mark.parametrize("name", [n for n in HOSTILE if clean(n).strip()])
def test_a_name_is_shown_as_it_is(cache: LayoutCache, name: str) -> None:
    svg = trace_view(named(name), cache=cache).svg
    texts = {e.text for e in ElementTree.fromstring(svg).iter(f"{SVG}text")}
    shown = clean(name) if len(clean(name)) <= 36 else f"{clean(name)[:18]}…{clean(name)[-17:]}"
    # Graphviz writes spaces at the ends and in rows as no-break spaces.
    assert shown.strip() in {(text or "").replace("\xa0", " ").strip() for text in texts}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_reaches_dot_as_anything_but_a_label(name: str) -> None:
    dot = segment_dot(search_space(named(name, "b")))
    tame = segment_dot(search_space(named("a", "b")))
    assert dot.count(" URL=") == 0
    assert dot.count(" href=") == name.count(" href=")
    assert dot.count("\n") == tame.count("\n")


@given(any_name)
def test_cleaned_text_is_one_printable_line_and_stays_clean(name: str) -> None:
    text = clean(name)
    assert text.isprintable()
    assert clean(text) == text
    assert "\n" not in label([name, name])


@pytest.mark.parametrize(
    "inside",
    [
        "<script>alert(1)</script>",
        '<g onload="alert(1)"/>',
        '<a href="javascript:alert(1)"><text>x</text></a>',
        '<foreignObject><body xmlns="http://www.w3.org/1999/xhtml"/></foreignObject>',
        '<image href="http://example.com/x.png"/>',
        '<use href="#n0"/>',
        "<style>@import url(http://example.com)</style>",
        '<rect style="fill:url(http://example.com)" fill="url(http://example.com)"/>',
        '<animate attributeName="href" values="javascript:alert(1)"/>',
        '<set attributeName="onload" to="alert(1)"/>',
        '<h:script xmlns:h="http://www.w3.org/1999/xhtml">alert(1)</h:script>',
    ],
)
def test_only_shapes_and_text_survive(inside: str) -> None:
    svg = sanitise(f'<svg xmlns="http://www.w3.org/2000/svg"><g id="n0"/>{inside}</svg>')
    for element in ElementTree.fromstring(svg).iter():
        assert element.tag.removeprefix(SVG) in ELEMENTS
        assert set(element.attrib) <= ATTRIBUTES
    assert not any(word in svg for word in ("script", "alert", "http://example.com", "onload", "href"))


@pytest.mark.parametrize(
    "text",
    ["", "no xml", "<html/>", "<svg", '<!DOCTYPE svg [<!ENTITY a "aaaa">]><svg>&a;</svg>', "<svg>&a;</svg>"],
)
def test_what_is_no_svg_is_refused(text: str) -> None:
    with pytest.raises(LayoutError):
        sanitise(text)


def test_a_drawing_names_no_file_that_the_engine_would_read(tmp_path: Path, cache: LayoutCache) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"\x89PNG")
    svg = trace_view(named(f'" image="{secret}', "b"), cache=cache).svg
    assert "<image" not in svg


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_breaks_out_of_a_table(name: str) -> None:
    document = ElementTree.fromstring(table_label([name], [[(name, 40.0, "#ffffff")]])[1:-1])
    cells = [element for element in document.iter() if element.tag == "FONT" or element.tag == "TD"]
    assert {"".join(cell.itertext()) for cell in cells} == {clean(name) or " "}
