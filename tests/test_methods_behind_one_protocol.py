"""Training, pages and drawings know no search method: whatever differs is asked of the method."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from nasviz import nas, optim
from nasviz.optim import SearchOptimizer
from nasviz.settings import METHODS

ROOT = Path(__file__).parents[1] / "nasviz"
ROOMS = ("train", "ui", "draw")
LESSONS = ("ui/parts/geometry.py", "draw/geometry.py", "train/lessons.py")
"""Lessons on methods that they name: three of them on a problem of two variables."""
CLASSES = {
    name
    for room in (optim, nas)
    for name, value in vars(room).items()
    if isinstance(value, type) and issubclass(value, SearchOptimizer) and value is not SearchOptimizer
} | {kind.__name__ for kind in METHODS.values()}
FILES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def knows_a_method(tree: ast.AST) -> list[str]:
    """Return names of methods, of their classes and of families that code spells out, docstrings aside."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node.value in METHODS:
            found.append(repr(node.value))
        names = {
            *([node.id] if isinstance(node, ast.Name) else []),
            *([node.attr] if isinstance(node, ast.Attribute) else []),
            *([alias.name for alias in node.names] if isinstance(node, ast.ImportFrom) else []),
        }
        found += sorted(names & CLASSES)
        is_name_of_method = isinstance(node, ast.Compare) and re.search(
            r"method\.(name|family|title)\b", ast.unparse(node)
        )
        if is_name_of_method:
            found.append(ast.unparse(node))
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_room_of_training_and_drawing_knows_a_method(path: Path) -> None:
    if str(path.relative_to(ROOT)) not in LESSONS:
        assert knows_a_method(ast.parse(path.read_text())) == []


@pytest.mark.parametrize(
    "code",
    [
        "if settings.method.name == 'x': pass",
        "if isinstance(optimizer, nas.WidthSearch): pass",
        "from nasviz.optim import Slim",
        "kind = 'sparsenas'",
        "if method.family in FAMILIES: pass",
        "isinstance(method, GSparsitySettings)",
    ],
)
def test_a_test_on_the_kind_of_a_method_is_seen(code: str) -> None:
    assert knows_a_method(ast.parse(code))
