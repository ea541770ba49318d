"""Layout of DOT source as SVG, by Graphviz in a child process with a time limit.

The program `dot` is preferred; without it the Graphviz library in pygraphviz is used. That holds the GIL
while it works, so it also runs in a child process, which can be terminated.
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
    """Program that reads DOT from standard input and writes SVG or another format."""

    name: str
    """Name with version, which is part of the cache key."""
    command: tuple[str, ...]


def layout(
    dot: str, *, limit_s: float = LIMIT_S, cache: LayoutCache | None = None, engine: Engine | None = None
) -> str:
    """Return the layout of DOT source as sanitized SVG, from the cache if possible.

    Args:
        dot: Graphviz source.
        limit_s: Time limit in seconds.
        cache: Cache of layouts; by default that of the user.
        engine: Layout engine; by default the best one installed.

    Raises:
        LayoutError: No engine is installed, it failed, or it exceeded the time limit.
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
    """Return the best layout engine installed.

    Args:
        form: Output format: svg or png.

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
    """Return the version that `dot` reports, or its path."""
    try:
        answer = subprocess.run([path, "-V"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return path
    return answer.stderr.strip() or path


def run(engine: Engine, dot: str, limit_s: float = LIMIT_S) -> bytes:
    """Return the output of an engine for DOT source.

    Raises:
        LayoutError: The engine failed, or exceeded the time limit.
    """
    # With SERVER_NAME set, Graphviz does not read files named in a graph.
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
            f"the layout exceeded the limit of {limit_s:g} s; close some modules, or show segments"
        ) from None
    except OSError as error:
        raise LayoutError(f"{engine.name} could not be started: {error}") from error
    if done.returncode:
        message = done.stderr.decode(errors="replace").strip()[-500:]
        raise LayoutError(f"{engine.name} failed with code {done.returncode}: {message or 'no message'}")
    return done.stdout
