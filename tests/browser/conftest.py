"""A real server, a real browser: what a person meets. Each server has a port and folders of its own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Browser, Page, expect

from nasviz.catalog import NetworkSource
from nasviz.jobs import start_run
from nasviz.runs import Run, RunSettings, Store
from tests.conftest import wait_until_served

ROOT = Path(__file__).parents[2]
PATIENCE_MS = 60_000
"""For what needs a child with torch on a busy machine."""
SLOWER = float(os.environ.get("NASVIZ_SLOW_BROWSER", "1"))
"""How many times slower than it is Chromium shall be: what waits for too little fails then."""


@dataclass
class Server:
    """A running app."""

    process: subprocess.Popen[bytes]
    port: int
    runs: Path
    trusted: Path
    log: Path

    def url(self, path: str = "") -> str:
        return f"http://127.0.0.1:{self.port}/{path}"

    def stop(self) -> None:
        """End it, and check that it leaves no child behind."""
        with psutil.Process(self.process.pid).oneshot():
            children = psutil.Process(self.process.pid).children(recursive=True)
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        _, alive = psutil.wait_procs(children, timeout=10)
        for child in alive:
            child.kill()
        assert not [child for child in alive if "nasviz.train.worker" not in str(child)]


def start_server(folder: Path, *options: str, script: str = "app.py", address: str | None = None) -> Server:
    """Start the app on a free port, as from a bare clone, and wait until it answers."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    runs, trusted = folder / "runs", folder / "trusted"
    trusted.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "streamlit", "run", script, "--server.port", str(port)]
    command += ["--server.address", address] if address else []
    command += ["--", "--runs", str(runs), "--trust", str(trusted), *options]
    log = folder / "server.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
        )
    server = Server(process, port, runs, trusted, log)
    try:
        wait_until_served(f"http://127.0.0.1:{port}", process)
    except TimeoutError as error:
        process.kill()
        raise AssertionError(f"the server did not start: {log.read_text()[-2000:]}") from error
    return server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Server]:
    """One server for the tests that do not need a fresh one."""
    server = start_server(tmp_path_factory.mktemp("server"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def done(server: Server) -> Run:
    """A short run of a narrow DemoNet that is done, so that no page is empty."""
    network = NetworkSource("demonet", (1, 8, 8), settings={"width": 0.1})
    run = Store(server.runs).create(
        RunSettings.of(network=network, target_sparsity=2, epochs=1, batch_size=256)
    )
    start_run(run)
    assert wait_for(lambda: run.end is not None, 120)
    return run


@pytest.fixture
def fresh_server(server: Server) -> Iterator[Server]:
    """The server without any run: those of other tests are out of sight."""
    aside = server.runs.with_name("aside")
    server.runs.mkdir(mode=0o700, exist_ok=True)
    server.runs.rename(aside)
    server.runs.mkdir(mode=0o700)
    yield server
    shutil.rmtree(server.runs)
    aside.rename(server.runs)


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1440, "height": 1000}, accept_downloads=True)
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on(
        "console", lambda said: errors.append(said.text) if "Content Security Policy" in said.text else None
    )
    if SLOWER > 1:
        context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
    yield page
    context.close()
    assert errors == []


def settle(page: Page) -> None:
    """Wait until the script has run to its end, without an exception on the page."""
    page.locator('[data-testid="stApp"][data-test-script-state="notRunning"]').wait_for()
    assert page.get_by_test_id("stException").count() == 0, page.get_by_test_id("stException").inner_text()


def show(page: Page, server: Server, path: str) -> None:
    """Open a page by its address."""
    page.goto(server.url(path))
    page.get_by_test_id("stSidebarUserContent").wait_for()


def on_page(page: Page, title: str) -> None:
    """Wait for a page by its own heading: sections below may be called the same."""
    expect(page.get_by_role("heading", name=title, exact=True, level=2)).to_be_visible()


def click_row(page: Page, row: int) -> None:
    """Click the box before a row of the page's first table, a canvas that loads after the page."""
    table = page.get_by_test_id("stDataFrame").first
    expect(table.locator(f"canvas tr[aria-rowindex='{row + 2}']")).to_be_attached()  # the head is row 1
    settle(page)
    table.click(position={"x": 16, "y": 54 + 36 * row})
    expect(table.locator(f"canvas tr[aria-rowindex='{row + 2}'][aria-selected=true]")).to_be_attached()
    settle(page)


def picture(page: Page, name: str) -> None:
    """Keep a screenshot where NASVIZ_PICTURES names a folder."""
    if folder := os.environ.get("NASVIZ_PICTURES"):
        page.wait_for_timeout(600)  # until colours have faded in
        page.screenshot(path=Path(folder) / f"{name}.png")


def film(page: Page, hold_ms: int) -> None:
    """Keep a screenshot as the next frame of the README's animated picture, shown for so long."""
    if place := os.environ.get("NASVIZ_PICTURES"):
        folder = Path(place) / "frames"
        folder.mkdir(exist_ok=True)
        page.screenshot(path=folder / f"{len(list(folder.iterdir())):03d}-{hold_ms}.png")


def wait_for(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


expect.set_options(timeout=PATIENCE_MS)
