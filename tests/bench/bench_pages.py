"""How long people wait for pages, beside the budgets: `python -m tests.bench.bench_pages [PART ...]`.

Parts are first, resnet, darts, live and large; all where none is named. Prints only.

A real server and a headless Chromium that rasters in software; every line carries the load of the machine,
without which its numbers say little. Layouts are kept in a folder of their own, so that "cold" means cold.
"""

from __future__ import annotations

import itertools
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
from playwright.sync_api import Browser, Page, sync_playwright

from nasviz import jobs
from nasviz.catalog import NetworkSource
from nasviz.runs import Run, RunSettings, StepRecord, Store, Writer
from nasviz.runs.files import SPACE, write_json
from tests.browser.conftest import Server, settle, start_server
from tests.conftest import ARGUMENTS, CHROMIUM

WATCHED_S = 60.0
FRAMES = """
(graph, live) => {
  const seen = window.seen = { frames: 0, blank: 0, mutations: 0 };
  const count = new MutationObserver((list) => { seen.mutations += list.length; });
  for (const root of [graph, live]) count.observe(root, { childList: true, subtree: true });
  const isBlank = () => {
    const canvas = live.querySelector(".curve");
    if (!canvas?.isConnected || !graph.isConnected || !graph.querySelector(".node")) return true;
    const x = Math.round(canvas.width * 0.6), pen = canvas.getContext("2d");
    // The grid alone fills some of a column.
    return !pen.getImageData(x, 0, 1, canvas.height).data.some((value) => value > 0);
  };
  const look = () => { seen.frames++; if (isBlank()) seen.blank++; requestAnimationFrame(look); };
  requestAnimationFrame(look);
}
"""


def tell(what: str, found: str, budget: str) -> None:
    """One line: what was measured, the number, the budget, the load of the last minute."""
    sys.stdout.write(f"{what:58}{found:>22}{budget:>14}   load {os.getloadavg()[0]:.1f}\n")
    sys.stdout.flush()


def timed(action: Callable[[], object], until: Callable[[], object]) -> float:
    """Seconds from an action to what it leads to."""
    start = time.perf_counter()
    action()
    until()
    return time.perf_counter() - start


def main() -> None:
    """All that the budgets ask for, in the order of their table, or the parts that are named."""
    if CHROMIUM is None:
        sys.exit("no Chromium on this machine")
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        start = time.perf_counter()
        server = start_server(Path(folder))
        try:
            page = _page(browser)
            _first_page(page, server, start)
            for name in sys.argv[1:] or PARTS:
                PARTS[name](page, server)
        finally:
            server.stop()
            browser.close()


def _page(browser: Browser) -> Page:
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.set_default_timeout(100_000)
    return page


def _nodes(page: Page, least: int = 1) -> Callable[[], object]:
    """Wait until so many vertices are drawn."""
    return lambda: page.locator(".nasviz-graph .node").nth(least - 1).wait_for(state="attached")


def _gone(page: Page, left: int = 0) -> None:
    """Wait until no more than so many vertices are drawn."""
    page.locator(".nasviz-graph .node").nth(left).wait_for(state="detached")


def _go(page: Page, title: str) -> None:
    page.get_by_test_id("stSidebarUserContent").get_by_role("link", name=title, exact=True).click()


def _first_page(page: Page, server: Server, start: float) -> None:
    page.goto(server.url("Model?model=mlp_digits"))
    page.get_by_role("button", name="Open", exact=True).first.wait_for()
    tell("start of the app to the first page that can be used", f"{time.perf_counter() - start:.1f} s", "3 s")


def _demonet(page: Page, server: Server) -> None:
    page.get_by_text("3,630").first.wait_for()  # its child is warm once it has traced the first network
    click = page.get_by_role("button", name="Open", exact=True).first.click
    seconds = timed(click, page.get_by_text("817,010").first.wait_for)
    tell("DemoNet: click on its card to its facts", f"{seconds:.2f} s", "")
    settle(page)
    seconds = timed(lambda: _go(page, "Trace graph"), _nodes(page, 20))
    tell("DemoNet: click on Trace graph to the graph", f"{seconds:.2f} s", "1 s")


def _resnet(page: Page, server: Server) -> None:
    page.goto(server.url("Trace_graph?model=resnet50"))
    _nodes(page)()
    settle(page)
    seconds = []
    for _ in range(2):
        page.get_by_role("button", name="Collapse all").click()
        _gone(page, 20)
        settle(page)
        click = page.get_by_role("button", name="Expand all").click
        seconds.append(f"{timed(click, _nodes(page, 170)):.2f}")
        settle(page)
    tell("ResNet-50: every operator, cold / cached", " / ".join(seconds) + " s", "1.5 / 0.5 s")


def _twice(page: Page, title: str, vertices: int) -> str:
    """Seconds from the Model page to so many vertices of a graph, with no layout kept, and with it."""
    seconds = []
    for _ in range(2):
        seconds.append(f"{timed(lambda: _go(page, title), _nodes(page, vertices)):.2f}")
        settle(page)
        _go(page, "Model")
        _gone(page)
        settle(page)
    return " / ".join(seconds) + " s"


def _darts(page: Page, server: Server) -> None:
    page.goto(server.url("Model?model=darts_14"))
    page.get_by_text("Trace time").wait_for()
    settle(page)
    tell("DARTS, 14 cells: modules closed, cold / cached", _twice(page, "Trace graph", 1), "1 s")
    _go(page, "Trace graph")
    _nodes(page)()
    settle(page)
    frames = page.locator(".nasviz-graph .cluster").count()
    page.locator(".nasviz-graph").get_by_role("button", name="Fit").click()
    cell = page.locator(".nasviz-graph .node.stack").last
    frame = page.locator(".nasviz-graph .cluster").nth(frames)
    seconds = timed(lambda: cell.dblclick(force=True), lambda: frame.wait_for(state="attached"))
    tell("DARTS, 14 cells: one cell opened", f"{seconds:.2f} s", "0.5 s")
    settle(page)
    tell("DARTS, 14 cells: all segments, cold / cached", _twice(page, "Segment graph", 800), "3 / 1 s")
    _go(page, "Segment graph")
    _nodes(page, 800)()
    settle(page)
    _select(page)


def _select(page: Page) -> None:
    """A vertex is chosen by a key: its panel, and what Python adds to it."""
    panel = page.locator(".nasviz-graph .panel h3")
    stage = page.locator(".nasviz-graph .stage")
    stage.focus()
    seconds = timed(lambda: stage.press("End"), panel.wait_for)
    tell("DARTS, 14 cells: a key to the side panel", f"{seconds * 1e3:.0f} ms", "400 ms")
    stage.press("ArrowUp")
    more = page.locator(".nasviz-graph .panel .more button").first
    seconds = timed(lambda: stage.press("ArrowUp"), more.wait_for)
    tell("DARTS, 14 cells: a key to what Python adds", f"{seconds * 1e3:.0f} ms", "")


def _live(page: Page, server: Server) -> None:
    """A minute beside a run, and what that costs the training."""
    source = NetworkSource("demonet", settings={"width": 0.25})
    run = Store(server.runs).create(_settings(source))
    jobs.start_run(run)
    page.goto(server.url(f"Search_and_train?model=demonet&set.width=0.25&run={run.id}"))
    page.locator(".nasviz-live .said").filter(has_text="training").wait_for()
    page.wait_for_timeout(3000)
    process = run.tail().last_step
    _watch(page, server, "live", WATCHED_S)
    steps = run.tail().last_step - process
    page.goto("about:blank")
    _cost(run, steps / WATCHED_S)


def _large(page: Page, server: Server) -> None:
    """Half a minute beside a record that grows as that of DARTS with 14 cells would, all scores changing."""
    source = NetworkSource("darts_14")
    space = jobs.submit(jobs.Analyze(source=source)).require().space
    run = Store(server.runs).create(RunSettings.of(network=source))
    write_json(run.folder / SPACE, space.to_json())
    stop = threading.Event()
    writer = threading.Thread(target=_record, args=(run, [s.id for s in space.removable], stop))
    writer.start()
    try:
        page.goto(server.url(f"Search_and_train?model=darts_14&run={run.id}"))
        page.locator(".nasviz-live .said").filter(has_text="step").wait_for()
        _nodes(page, 800)()
        settle(page)
        page.wait_for_timeout(5000)
        _watch(page, server, f"{len(space.removable)} structures", WATCHED_S / 2)
    finally:
        stop.set()
        writer.join()


def _record(run: Run, structures: list[int], stop: threading.Event) -> None:
    """Two steps a second, each with scores and norms."""
    random = np.random.default_rng(0)
    with Writer(run) as writer:
        writer.describe(total_steps=10_000, warmup_steps=5_000, projection_steps=1_000)
        for step in itertools.takewhile(lambda _: not stop.wait(0.5), itertools.count()):
            writer.scores(step, structures, random.random(len(structures)))
            writer.norms(step, structures, random.random(len(structures)))
            writer.step(StepRecord(step, 0, "warm-up", 1.0, 0.5, 0.05))
        writer.finish("cancelled")


def _watch(page: Page, server: Server, what: str, seconds: float) -> None:
    """Blank frames, bytes and time of each refresh."""
    received: list[int] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda data: received.append(len(data))))
    page.reload()  # so that the socket is heard
    page.locator(".nasviz-live .said").filter(has_text="step").wait_for()
    settle(page)
    page.wait_for_timeout(3000)
    live = page.locator(".nasviz-live").element_handle()
    page.locator(".nasviz-graph").evaluate(FRAMES, live)
    browser = page.context.new_cdp_session(page)
    browser.send("Performance.enable")
    before, spent = _busy(browser), _cpu(server)
    received.clear()
    page.wait_for_timeout(seconds * 1000)
    seen = page.evaluate("() => window.seen")
    # A refresh brings one large message with the live view's data; a look at the pixels costs time too.
    turns = max(1, sum(size > 2000 for size in received))
    tell(f"{what}: refreshes in {seconds:.0f} s", f"{turns}", "")
    tell(f"{what}: blank frames in {seconds:.0f} s", f"{seen['blank']} of {seen['frames']}", "0")
    tell(f"{what}: childList mutations", f"{seen['mutations']}", "0")
    tell(f"{what}: bytes of a refresh", f"{sum(received) / turns / 1024:.0f} KiB", "50 KB")
    cost = (_cpu(server) - spent) / turns
    tell(f"{what}: server, processor time of a refresh", f"{cost * 1e3:.1f} ms", "15 ms")
    busy = (_busy(browser) - before) / turns
    tell(f"{what}: browser, main thread of a refresh", f"{busy * 1e3:.0f} ms", "60 ms")


def _settings(source: NetworkSource) -> RunSettings:
    """A run that goes on for longer than it is watched, past its search after a few steps."""
    return RunSettings.of(
        network=source, target_sparsity=3, epochs=400, warmup_steps=10, projection_steps=20, batch_size=32
    )


def _cost(run: Run, watched: float) -> None:
    """Steps per second without a watcher, against those with one."""
    before, start = run.tail().last_step, time.perf_counter()
    time.sleep(WATCHED_S / 2)
    alone = (run.tail().last_step - before) / (time.perf_counter() - start)
    jobs.cancel_run(run, wait_s=10)
    tell("live: steps a second, watched / alone", f"{watched:.1f} / {alone:.1f}", "2 % slower")


def _cpu(server: Server) -> float:
    times = psutil.Process(server.process.pid).cpu_times()
    return float(times.user + times.system)


def _busy(session: object) -> float:
    """Seconds that the page's main thread has been busy."""
    metrics = session.send("Performance.getMetrics")["metrics"]  # type: ignore[attr-defined]
    return next(float(m["value"]) for m in metrics if m["name"] == "TaskDuration")


PARTS: dict[str, Callable[[Page, Server], None]] = {
    "first": _demonet,
    "resnet": _resnet,
    "darts": _darts,
    "live": _live,
    "large": _large,
}

if __name__ == "__main__":
    main()
