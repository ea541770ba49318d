"""The layout service: DOT text to SVG, by Graphviz in a process of its own, within a time limit.

`dot` on the path comes first; without it the Graphviz inside pygraphviz is used. It holds the interpreter's
lock while it works, so it runs in a child process too, and a layout that takes too long can be ended.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from nasviz.draw.layout_cache import LayoutCache
from nasviz.draw.svg import sanitise
from nasviz.errors import LayoutError

__all__ = ["Engine", "find_engine", "layout", "run"]

LIMIT_S = 60.0

_CHILD = """
import sys, pygraphviz
graph = pygraphviz.AGraph(string=sys.stdin.buffer.read().decode())
sys.stdout.buffer.write(graph.draw(format=sys.argv[1], prog="dot"))
"""


@dataclass(frozen=True, slots=True)
class Engine:
    """A program that reads DOT on its standard input and writes SVG, or what else was asked for."""

    name: str
    """With its version: part of the key under which a layout is kept."""
    command: tuple[str, ...]


def layout(
    dot: str, *, limit_s: float = LIMIT_S, cache: LayoutCache | None = None, engine: Engine | None = None
) -> str:
    """Lay DOT text out as SVG that is safe to show; taken from the cache where it was laid out before.

    Args:
        dot: Graphviz source.
        limit_s: Longest time in seconds; the layout is then ended.
        cache: Where layouts are kept; the user's cache folder if left out.
        engine: What lays out; the best there is if left out.

    Raises:
        LayoutError: No engine is installed, it failed, or it took too long.
    """
    engine = engine or find_engine()
    cache = cache or LayoutCache()
    key = hashlib.sha256(f"{engine.name}\0{dot}".encode()).hexdigest()
    if svg := cache.get(key):
        return svg
    svg = sanitise(run(engine, dot, limit_s).decode())
    cache.put(key, svg)
    return svg


def find_engine(form: str = "svg") -> Engine:
    """The layout engine of this machine.

    Args:
        form: What it shall write: svg or png.

    Raises:
        LayoutError: Neither `dot` nor pygraphviz is installed.
    """
    if path := shutil.which("dot"):
        return Engine(_dot_version(path), (path, f"-T{form}"))
    try:
        name = f"pygraphviz {version('pygraphviz')}"
    except PackageNotFoundError:
        raise LayoutError(
            "no layout engine: neither the program `dot` nor the package pygraphviz was found;"
            " install Graphviz (https://graphviz.org/download) or `pip install pygraphviz`"
        ) from None
    return Engine(name, (sys.executable, "-P", "-c", _CHILD, form))


@lru_cache(maxsize=8)
def _dot_version(path: str) -> str:
    """What `dot` says of itself; the path where it says nothing."""
    try:
        answer = subprocess.run([path, "-V"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return path
    return answer.stderr.strip() or path


def run(engine: Engine, dot: str, limit_s: float = LIMIT_S) -> bytes:
    """What an engine makes of DOT text.

    Raises:
        LayoutError: It failed, or it took too long.
    """
    # With SERVER_NAME set, Graphviz refuses to read files that a graph names.
    environment = os.environ | {"SERVER_NAME": "nasviz"}
    try:
        done = subprocess.run(
            engine.command,
            input=dot.encode(),
            capture_output=True,
            timeout=limit_s,
            env=environment,
            cwd=Path(sys.executable).anchor,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise LayoutError(
            f"the layout took longer than {limit_s:g} s and was ended; close some modules, or show segments"
        ) from None
    except OSError as error:
        raise LayoutError(f"{engine.name} could not be started: {error}") from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()[-500:]
        raise LayoutError(f"{engine.name} failed with code {done.returncode}: {said or 'no message'}")
    return done.stdout
