"""Sanitized SVG: elements and attributes outside a short allowlist are removed.

The browser applies the same allowlist again (`viewer/sanitize.js`).
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
    """Return an SVG with shapes and text only, without titles, links, scripts, styles and URLs.

    Raises:
        LayoutError: The text is not XML, is not an SVG, or declares entities.

    Examples:
        >>> sanitise('<svg xmlns="http://www.w3.org/2000/svg" onload="x()"><script>x()</script><g/></svg>')
        '<svg xmlns="http://www.w3.org/2000/svg"><g /></svg>'
    """
    return write(parse(svg))


def parse(svg: str) -> ElementTree.Element:
    """Return shapes and text of an SVG as a tree without namespaces.

    Raises:
        LayoutError: The text is not XML, is not an SVG, or declares entities.
    """
    if "<!ENTITY" in svg:
        raise LayoutError("the SVG declares entities, which are not allowed; it is not shown")
    try:
        root = ElementTree.fromstring(svg)
    except ElementTree.ParseError as error:
        raise LayoutError(f"the layout engine did not return an SVG: {error}") from error
    if _name(root) != "svg":
        raise LayoutError(f"the layout engine returned <{_name(root)}> instead of <svg>")
    return _kept(root)


def write(svg: ElementTree.Element) -> str:
    """Return a tree of `parse` as text."""
    # The namespace is a plain attribute here and must come first.
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
    """Yield allowed children; links are replaced by their content."""
    for child in element:
        if not isinstance(child.tag, str):
            continue
        if _name(child) in ELEMENTS:
            yield child
        elif _name(child) == "a":
            yield from _children(child)


def _name(element: ElementTree.Element) -> str:
    """Return the local name of an SVG element; others keep their namespace and never match the allowlist."""
    return element.tag.removeprefix(f"{{{NAMESPACE}}}")
