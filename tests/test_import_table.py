"""Who may import whom: the rooms of the house, kept true."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LIGHT = {"errors", "graph", "catalog", "runs", "draw", "jobs", "ui"}
TORCH_WING = {
    "errors",
    "graph",
    "catalog",
    "runs",
    "trace",
    "saliency",
    "optim",
    "subnet",
    "switches",
    "models",
    "data",
    "train",
    "relax",
}
MAY_IMPORT = {
    "errors": set(),
    "guarded_files": {"errors"},  # every room may use it, and the next
    "checksums": {"errors", "guarded_files"},
    "graph": {"errors"},
    "catalog": {"errors"},
    "runs": {"errors", "catalog"},
    "draw": {"errors", "graph", "runs", "catalog"},
    "trace": {"errors", "graph"},
    "subnet": {"errors", "graph", "trace"},
    "switches": {"errors", "graph", "trace"},
    "saliency": {"errors", "graph", "trace", "subnet"},
    "optim": {"errors", "graph", "catalog", "saliency"},
    "relax": {"errors", "graph", "trace", "subnet", "switches", "optim"},
    "models": {"errors", "catalog", "subnet"},
    "data": {"errors", "catalog", "models"},
    "train": TORCH_WING,
    "jobs": {"errors", "graph", "runs", "catalog"},
    "ui": LIGHT,
    "commands": TORCH_WING | {"jobs", "draw"},
    "cli": TORCH_WING | {"jobs", "draw", "commands"},
}
HEAVY = {"torch", "torchvision", "onnx", "onnxruntime", "streamlit", "sklearn"}
OUTSIDE = {  # heavy packages a room may import; everything else is refused to it
    "ui": {"streamlit"},
    **{room: {"torch"} for room in ["trace", "subnet", "switches", "saliency", "optim", "relax", "train"]},
    "models": {"torch", "torchvision"},
    "data": {"torch", "torchvision", "sklearn"},
}
DOOR = "nasviz/jobs/child.py"  # the entry of a child process: the one light-wing file that may load torch
TORCHRUN = "nasviz/train/__main__.py"  # a command line: it takes the arguments of `nasviz train`
FILES = sorted(
    p for p in (ROOT / "nasviz").rglob("*.py") if p.name != "__init__.py" or p.parent.name != "nasviz"
)


def imports(path: Path, *, top_level_only: bool) -> set[str]:
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_level_only else list(ast.walk(tree))
    names = {a.name for n in nodes if isinstance(n, ast.Import) for a in n.names}
    return names | {n.module for n in nodes if isinstance(n, ast.ImportFrom) and n.module}


def room_of(path: Path) -> str:
    return path.relative_to(ROOT / "nasviz").parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_room_imports_only_what_the_table_allows(path: Path) -> None:
    room, name = room_of(path), path.relative_to(ROOT).as_posix()
    if name == DOOR:
        return
    inside = {n.split(".")[1] for n in imports(path, top_level_only=False) if n.startswith("nasviz.")}
    assert inside <= MAY_IMPORT[room] | {room, "guarded_files", "checksums"} | (
        {"commands"} if name == TORCHRUN else set()
    )
    outside = {n.split(".")[0] for n in imports(path, top_level_only=room not in LIGHT)} & HEAVY
    assert outside <= OUTSIDE.get(room, set())


@pytest.mark.parametrize("path", sorted((ROOT / "pages").glob("*.py")), ids=lambda p: p.name)
def test_a_page_imports_only_the_light_wing(path: Path) -> None:
    names = imports(path, top_level_only=False)
    assert {n.split(".")[1] for n in names if n.startswith("nasviz.")} <= LIGHT
    assert not {n.split(".")[0] for n in names} & (HEAVY - {"streamlit"})


def test_importing_nasviz_and_its_light_wing_loads_nothing_heavy() -> None:
    rooms = ", ".join(f"nasviz.{room}" for room in sorted(LIGHT - {"ui"}))
    code = f"import nasviz, {rooms}, sys; sys.exit(sorted({HEAVY!r} & set(sys.modules)) or 0)"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
