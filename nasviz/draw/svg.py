"""SVG that is safe to put on a page: a short list of elements and attributes, everything else is left out.

The browser has the same list (`viewer/sanitize.js`), because it does not trust what it is sent either.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree import ElementTree

from nasviz.errors import LayoutError

__all__ = ["NAMESPACE", "parse", "sanitise", "write"]

NAMESPACE = "http://www.w3.org/2000/svg"

ELEMENTS = frozenset("svg g path polygon polyline ellipse circle rect line text tspan".split())
ATTRIBUTES = frozenset(
    "id class transform viewBox width height d points cx cy rx ry r x y x1 y1 x2 y2 fill stroke stroke-width "
    "stroke-dasharray stroke-linecap fill-opacity stroke-opacity opacity text-anchor font-family font-size "
    "font-weight font-style".split()
)


def sanitise(svg: str) -> str:
    """Keep only shapes and text of an SVG; titles, links, scripts, styles and addresses are gone.

    Raises:
        LayoutError: The text is not XML, is not an SVG, or declares entities.

    Examples:
        >>> sanitise('<svg xmlns="http://www.w3.org/2000/svg" onload="x()"><script>x()</script><g/></svg>')
        '<svg xmlns="http://www.w3.org/2000/svg"><g /></svg>'
    """
    return write(parse(svg))


def parse(svg: str) -> ElementTree.Element:
    """The shapes and text of an SVG as a tree, without name spaces.

    Raises:
        LayoutError: The text is not XML, is not an SVG, or declares entities.
    """
    if "<!ENTITY" in svg:
        raise LayoutError("this SVG declares entities, which no layout needs; it is not shown")
    try:
        root = ElementTree.fromstring(svg)
    except ElementTree.ParseError as error:
        raise LayoutError(f"the layout engine did not return an SVG: {error}") from error
    if _name(root) != "svg":
        raise LayoutError(f"the layout engine returned <{_name(root)}> where <svg> was asked for")
    return _kept(root)


def write(svg: ElementTree.Element) -> str:
    """A tree of `parse` as text."""
    # The name space has to come first: it is an attribute here, and attributes keep their order.
    svg.attrib = {"xmlns": NAMESPACE} | svg.attrib
    return ElementTree.tostring(svg, encoding="unicode")


def _kept(element: ElementTree.Element) -> ElementTree.Element:
    safe = {key: value for key, value in element.attrib.items() if key in ATTRIBUTES and "url(" not in value}
    copy = ElementTree.Element(_name(element), safe)
    if copy.tag in ("text", "tspan"):
        copy.text = element.text
    copy.extend(_kept(child) for child in _children(element))
    return copy


def _children(element: ElementTree.Element) -> Iterator[ElementTree.Element]:
    """Children that are shown; the inside of a link is, the link itself is not."""
    for child in element:
        if not isinstance(child.tag, str):
            continue
        if _name(child) in ELEMENTS:
            yield child
        elif _name(child) == "a":
            yield from _children(child)


def _name(element: ElementTree.Element) -> str:
    """Local name of an SVG element; others keep their name space and so never match the list."""
    return element.tag.removeprefix(f"{{{NAMESPACE}}}")
