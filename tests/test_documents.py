"""The page of the documents is up to date, and its evidence exists."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from nasviz.catalog import PRESETS
from nasviz.ui import frame

ROOT = Path(__file__).parents[1]


def load():
    spec = importlib.util.spec_from_file_location("documents", ROOT / "docs" / "documents.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PAGE = load()
ROWS = list(PAGE.rows(PAGE.read()))
EVIDENCE = sorted({text for state, found, _ in ROWS if state == "done" for text in found.split("; ")})


def exists(text: str) -> bool:
    """Return whether evidence names a test, a page, a published table, a make target or a measurement."""
    kind, _, name = text.partition(" ")
    if kind == "page":
        return name in frame.pages()
    if kind == "preset":
        return name in PRESETS
    if kind == "make":
        return re.search(rf"^{name}:", (ROOT / "Makefile").read_text(), re.MULTILINE) is not None
    if kind == "measured":
        return f"## {name}\n" in (ROOT / "assets" / "measured.md").read_text()
    path, _, function = text.partition("::")
    file = ROOT / "tests" / f"{path}.py"
    return file.exists() and f"def {function or 'test_'}" in file.read_text()


def test_the_page_is_up_to_date() -> None:
    assert (ROOT / "docs" / "documents.md").read_text(encoding="utf-8") == PAGE.markdown(PAGE.read())


def test_evidence_exists() -> None:
    assert [text for text in EVIDENCE if not exists(text)] == []


@pytest.mark.parametrize(
    "text", ["graph/test_segments::test_nothing", "graph/test_nothing", "page Nothing", "preset x", "wild"]
)
def test_negative_control_what_does_not_exist_is_found_out(text: str) -> None:
    assert not exists(text)


def test_every_table_that_can_be_run_is_named() -> None:
    text = (ROOT / "docs" / "documents.md").read_text(encoding="utf-8")
    assert [name for name in PRESETS if not re.search(rf"preset {name}\b", text)] == []


def test_what_is_refused_or_open_says_why() -> None:
    assert [what for state, reason, what in ROWS if state == "refused" and len(reason.split()) < 5] == []
    assert [what for state, reason, what in ROWS if state == "open" and not reason] == []
