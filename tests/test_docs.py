"""The documentation names the rooms that exist, and its links and commands lead somewhere."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest

from tests.test_import_table import MAY_IMPORT

ROOT = Path(__file__).parents[1]
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md"]
ROOMS = sorted(MAY_IMPORT.keys() - {"__main__"})


@pytest.mark.parametrize("name", ["pictures/rooms.dot", "pictures/rooms.svg", "architecture.md"])
def test_every_room_is_in_the_picture_and_in_the_table(name: str) -> None:
    text = (ROOT / "docs" / name).read_text()
    assert [room for room in ROOMS if not re.search(rf"\b{room}\b", text)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_and_make_targets_exist(page: Path) -> None:
    text = page.read_text()
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", text)
    assert [link for link in links if not (page.parent / link).exists()] == []
    targets = set(re.findall(r"^(\w[\w-]*):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert set(re.findall(r"make ([\w-]+)`", text)) <= targets


def test_every_row_of_the_comparison_is_shown_by_a_test() -> None:
    rows = [r for r in (ROOT / "docs" / "comparison.md").read_text().splitlines() if r.startswith("| ")][2:]
    assert len({row.count("|") for row in rows}) == 1
    for row in rows:
        path, _, name = row.split("|")[-2].strip(" `").partition("::")
        assert f"def {name or 'test_'}" in (ROOT / path).read_text(), row


@pytest.mark.parametrize("name", ["rooms", "dataflow"])
def test_pictures_are_drawn_from_their_sources(name: str) -> None:
    """`make diagrams` was run after the last change of a label."""
    source, drawn = ((ROOT / "docs" / "pictures" / f"{name}.{kind}").read_text() for kind in ("dot", "svg"))
    labels = re.findall(r'label="\s*([^"]*?)\s*"', source)
    lines = {line.strip() for label in labels for line in label.split("\\n")}
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", drawn)
    shown = {html.unescape(text).replace("\xa0", " ").strip() for text in texts}
    assert lines <= shown
