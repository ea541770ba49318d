"""Build the wheel, install it into an empty environment, and open its app in Chromium from an empty folder.

Run as `make wheel`. Nothing of the clone is on the path of the app: pages, theme, pictures and the viewer
come from the wheel.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import venv
from contextlib import closing
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

from tests.conftest import ARGUMENTS, CHROMIUM, wait_until_served

ROOT = Path(__file__).parents[1]
START_S, GRAPH_MS = 120, 120_000


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="nasviz-wheel-") as name:
        folder = Path(name)
        program = install(folder)
        empty = folder / "empty"
        empty.mkdir()
        version = run(program, "--version", folder=empty)
        shown = run(program, "analyze", "demonet", folder=empty)
        assert "K_max        4" in shown, shown
        look(program, empty)
        sys.stdout.write(f"nasviz {version.strip()} from its wheel: command line and app work\n")


def install(folder: Path) -> Path:
    """Return the program `nasviz` of a new environment that holds the wheel and its extra [app]."""
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    subprocess.run([*pip, "--wheel-dir", str(folder), str(ROOT)], check=True)
    (wheel,) = folder.glob("nasviz-*.whl")
    venv.create(folder / "env", with_pip=True)
    python = folder / "env" / "bin" / "python"
    constraints = ROOT / ".ci" / "constraints.txt"
    pip = [str(python), "-m", "pip", "install", "--quiet", "--no-compile", "--constraint", str(constraints)]
    subprocess.run([*pip, f"{wheel}[app]"], check=True)
    return python.with_name("nasviz")


def run(*words: str | Path, folder: Path) -> str:
    return subprocess.run(
        words, cwd=folder, env=environment(), check=True, capture_output=True, text=True
    ).stdout


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}


def look(program: Path, folder: Path) -> None:
    """Open the app as a browser does, and find the graph of DemoNet on it."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(program), "app", "--port", str(port), "--", "--server.headless", "true"]
    with subprocess.Popen(command, cwd=folder, env=environment()) as server:
        try:
            wait_until_served(f"http://127.0.0.1:{port}", server, START_S)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
                page = browser.new_page()
                page.goto(f"http://127.0.0.1:{port}/Segment_graph?model=demonet")
                expect(page.locator(".nasviz-graph .node").first).to_be_visible(timeout=GRAPH_MS)
                assert page.get_by_test_id("stException").count() == 0
                browser.close()
        finally:
            server.terminate()


if __name__ == "__main__":
    main()
