"""Pages are short scripts: what they may hold, and that the sidebar knows all of them."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

from nasviz.ui.frame import ICON, pages
from nasviz.ui.serving import SCRIPT

ROOT = SCRIPT.parent
SCRIPTS = [SCRIPT, *sorted((ROOT / "pages").glob("*.py"))]


def test_the_sidebar_knows_every_page_and_no_other() -> None:
    assert {page.script for page in pages().values()} == {str(p.relative_to(ROOT)) for p in SCRIPTS}
    assert [page.position for page in pages().values()] == list(range(len(SCRIPTS)))
    assert {title for page in pages().values() for title in page.followed_by} <= set(pages())
    assert ICON.is_file()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_only_shows_its_page(script: Path) -> None:
    tree = ast.parse(script.read_text())
    assert ast.get_docstring(tree)
    first, *rest = (n for n in tree.body[1:] if not isinstance(n, ast.Import | ast.ImportFrom))
    assert not rest
    if isinstance(first, ast.If):  # app.py is imported by the server too
        assert ast.unparse(first.test) == "__name__ == '__main__'"
        (first,) = first.body
    title = next(page.title for page in pages().values() if page.script == str(script.relative_to(ROOT)))
    assert ast.unparse(first) == f"frame.show({title!r})"


def test_tables_offer_no_download_that_would_not_escape_formulas() -> None:
    settings = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())
    assert settings["client"]["disableDataExport"] is True
    assert settings["server"]["address"] == "127.0.0.1"
