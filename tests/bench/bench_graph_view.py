"""How long the browser takes for what people do: `python -m tests.bench.bench_graph_view`. Prints only."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from nasviz.draw import segment_view, trace_view
from nasviz.draw.report import Section, html_report
from nasviz.draw.view import GraphView
from nasviz.graph import search_space
from tests.bench.cells import cells
from tests.conftest import ARGUMENTS, CHROMIUM

MEASURE = """
async () => {
  const root = document.querySelector(".nasviz-graph");
  const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)));
  let mutations = 0;
  const count = new MutationObserver((list) => { mutations += list.length; });
  count.observe(root, { childList: true, subtree: true });
  const ids = [...root.querySelectorAll(".node")].map((g) => g.id);
  const timed = async (action) => {
    const script = [], painted = [];
    for (let turn = 0; turn < 9; turn++) {
      await frame();
      const start = performance.now();
      action(turn);
      script.push(performance.now() - start);
      await frame();
      painted.push(performance.now() - start);
    }
    const middle = (all) => all.sort((a, b) => a - b)[4];
    return [middle(script), middle(painted)];
  };
  const paint = await timed((turn) => {
    const bins = Object.fromEntries(ids.map((id, i) => [id, (i * 7 + turn) % 9]));
    const overlay = { bins, scale: turn % 2 ? "cividis" : "viridis", limits: ["0", "1"], title: "x" };
    const detail = { graph: "graph-0", view: "graph-0", overlay };
    window.dispatchEvent(new CustomEvent("nasviz:paint", { detail }));
  });
  const recolouring = mutations;
  const stage = root.querySelector(".stage");
  stage.focus();
  const key = (name) => stage.dispatchEvent(new KeyboardEvent("keydown", { key: name, bubbles: true }));
  const select = await timed(() => { for (let i = 0; i < 10; i++) key("ArrowDown"); });
  select[0] /= 10;
  const zoom = await timed((turn) => key(turn % 2 ? "+" : "-"));
  key("f");
  const zoomAll = await timed((turn) => key(turn % 2 ? "+" : "-"));
  return { vertices: ids.length, recolouring, paint, select, zoom, "zoom, all in view": zoomAll };
}
"""


def main() -> None:
    """One line a graph and action."""
    if CHROMIUM is None:
        sys.exit("no Chromium on this machine")
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        for number in (9, 33):
            trace = cells(number)
            space = search_space(trace)
            for view in (trace_view(trace, trace.modules, space=space), segment_view(space)):
                _measure(page, view, Path(folder) / "page.html")
        browser.close()


def _measure(page: Page, view: GraphView, path: Path) -> None:
    path.write_text(html_report(view.title, [Section(view.title, view=view)]), encoding="utf-8")
    page.goto(path.as_uri())
    page.locator(".nasviz-graph .node").first.wait_for()
    result = page.evaluate(MEASURE)
    sys.stdout.write(
        f"{view.title}: {result['vertices']} vertices, {result['recolouring']} childList mutations\n"
    )
    for name in ("paint", "select", "zoom", "zoom, all in view"):
        script, painted = result[name]
        sys.stdout.write(f"    {name:20} script {script:7.1f} ms   painted {painted:7.1f} ms\n")


if __name__ == "__main__":
    main()
