"""Who may import whom: the rooms of the house, kept true."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LIGHT = {"errors", "extensions", "graph", "catalog", "settings", "runs", "draw", "jobs", "ui"}
TORCH_WING = {
    "errors",
    "extensions",
    "graph",
    "catalog",
    "settings",
    "runs",
    "trace",
    "saliency",
    "optim",
    "subnet",
    "switches",
    "models",
    "data",
    "train",
    "nas",
}
MAY_IMPORT = {
    "errors": set(),
    "guarded_files": {"errors"},  # every room may use it, and the next
    "extensions": {"errors"},  # likewise
    "extras": {"errors"},  # likewise
    "checksums": {"errors", "guarded_files"},
    "graph": {"errors"},
    "catalog": {"errors"},
    "settings": {"errors", "catalog"},
    "runs": {"errors", "catalog", "settings"},
    "draw": {"errors", "graph", "runs", "catalog", "settings"},
    "notebook": {"errors", "graph", "runs", "draw", "settings"},
    "trace": {"errors", "graph"},
    "onnx_viewer": {"errors", "graph"},
    "subnet": {"errors", "graph", "trace"},
    "switches": {"errors", "graph", "trace"},
    "saliency": {"errors", "graph", "catalog", "trace", "subnet"},
    "optim": {"errors", "graph", "catalog", "settings", "saliency", "switches"},
    "nas": {"errors", "graph", "settings", "trace", "subnet", "switches", "saliency", "optim"},
    "models": {"errors", "catalog", "subnet"},
    "data": {"errors", "catalog", "models"},
    "train": TORCH_WING,
    "integrations": {"errors", "graph", "runs", "subnet", "train"},
    "jobs": {"errors", "graph", "runs", "catalog", "settings"},
    "ui": LIGHT,
    "cli": TORCH_WING | {"jobs", "draw"},  # `nasviz app` starts ui as a process
    "__main__": {"cli"},
}
HEAVY = {"torch", "torchvision", "onnx", "onnx_ir", "onnxruntime", "streamlit", "sklearn"}
OUTSIDE = {  # heavy packages a room may import; everything else is refused to it
    "ui": {"streamlit"},
    "onnx_viewer": {"onnx_ir"},
    **{
        room: {"torch"}
        for room in ["trace", "subnet", "switches", "saliency", "optim", "nas", "train", "integrations"]
    },
    "models": {"torch", "torchvision"},
    "data": {"torch", "torchvision"},
}
WORKER = "nasviz/jobs/worker.py"  # the entry of a worker: the one server-side file that may import torch
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


def folders_named_by(path: Path) -> set[Path]:
    """Return files and folders that a module builds paths to, such as `Path(__file__).parent / "x"`.

    `nasviz.__file__` and package resources count as well.
    """
    tree = ast.parse(path.read_text())
    return {found for node in ast.walk(tree) if (found := resolve(node, path)) is not None and found != path}


def resolve(node: ast.AST, path: Path) -> Path | None:
    """Return the path that an expression stands for, where it starts at a module's own file."""
    match node:
        case ast.Name(id="__file__"):
            return path
        case ast.Attribute(value=ast.Name(id="nasviz"), attr="__file__"):
            return ROOT / "nasviz" / "__init__.py"
        case ast.Call(func=ast.Name(id="Path" | "str") | ast.Attribute(attr="Path"), args=[inner]):
            return resolve(inner, path)
        case ast.Call(func=ast.Attribute(value=inner, attr="resolve" | "absolute"), args=[]):
            return resolve(inner, path)
        case ast.Call(func=ast.Attribute(value=inner, attr="joinpath" | "with_name"), args=[*parts]):
            base = resolve(inner, path)
            words = [part.value for part in parts if isinstance(part, ast.Constant)]
            if base is None:
                return None
            return (base.parent if node.func.attr == "with_name" else base).joinpath(*words)  # type: ignore[attr-defined]
        case ast.Call(
            func=ast.Attribute(attr="files") | ast.Name(id="files"), args=[ast.Constant(value=str(name))]
        ):
            return ROOT.joinpath(*name.split(".")) if name.split(".")[0] == "nasviz" else None
        case ast.Attribute(value=inner, attr="parent"):
            base = resolve(inner, path)
            return base.parent if base else None
        case ast.Subscript(
            value=ast.Attribute(value=inner, attr="parents"), slice=ast.Constant(value=int(number))
        ):
            base = resolve(inner, path)
            return base.parents[number] if base else None
        case ast.BinOp(left=left, op=ast.Div(), right=ast.Constant(value=str(name))):
            base = resolve(left, path)
            return base / name if base else None
    return None


def rooms_read_by(path: Path) -> set[str]:
    package = ROOT / "nasviz"
    inside = {p.relative_to(package).parts for p in folders_named_by(path) if p.is_relative_to(package)}
    return {parts[0].removesuffix(".py") for parts in inside if parts} - {"__init__"}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_room_reads_only_files_of_rooms_that_it_may_import(path: Path) -> None:
    room = room_of(path)
    assert rooms_read_by(path) <= MAY_IMPORT[room] | {room}


@pytest.mark.parametrize(
    "expression",
    [
        'Path(__file__).parents[1] / "ui" / "component"',
        'Path(__file__).parent.parent / "ui"',
        'Path(__file__).resolve().parents[1].joinpath("ui", "component")',
        'Path(nasviz.__file__).parent / "ui" / "graph.js"',
        'importlib.resources.files("nasviz.ui.component")',
    ],
)
def test_a_path_into_another_room_is_seen(expression: str) -> None:
    module = ROOT / "nasviz" / "draw" / "report.py"
    tree = ast.parse(f"FOLDER = {expression}")
    found = {resolve(node, module) for node in ast.walk(tree)} - {None}
    assert any(p is not None and p.is_relative_to(ROOT / "nasviz" / "ui") for p in found)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_room_imports_only_what_the_table_allows(path: Path) -> None:
    room, name = room_of(path), path.relative_to(ROOT).as_posix()
    if name == WORKER:
        return
    inside = {n.split(".")[1] for n in imports(path, top_level_only=False) if n.startswith("nasviz.")}
    assert inside <= MAY_IMPORT[room] | {room, "guarded_files", "checksums", "extensions", "extras"}
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
