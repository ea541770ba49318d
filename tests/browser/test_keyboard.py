"""The first journey without a pointer: from DemoNet to a downloaded ONNX file by keys alone."""

from __future__ import annotations

from pathlib import Path

import onnxruntime
from playwright.sync_api import Page, expect

from tests.browser.conftest import Server, on_page, settle, show

MOST_STOPS = 120
FOCUSED = """() => {
  let e = document.activeElement;
  while (e?.shadowRoot?.activeElement) e = e.shadowRoot.activeElement;
  const named = e?.labels?.[0]?.innerText;
  const text = e?.matches("a, button, summary") ? e.innerText : "";
  return [e?.tagName, e?.getAttribute("aria-label"), named, text, e?.getAttribute("class")].join(" | ");
}"""


def tab_to(page: Page, words: str, *, tag: str = "") -> None:
    """Press Tab until what has the focus is called so, and is such an element."""
    seen = []
    for _ in range(MOST_STOPS):
        page.keyboard.press("Tab")
        seen.append(page.evaluate(FOCUSED))
        if words in seen[-1] and seen[-1].startswith(tag):
            return
    raise AssertionError(f"no stop of the Tab key is called {words!r}: {seen}")


def follow(page: Page, words: str, title: str) -> None:
    """Go by a link to another page: a graph may be called the same."""
    tab_to(page, words, tag="A |")
    page.keyboard.press("Enter")
    on_page(page, title)
    settle(page)


def test_the_keyboard_alone_leads_from_demonet_to_an_onnx_file(
    fresh_server: Server, page: Page, tmp_path: Path
) -> None:
    show(page, fresh_server, "?model=demonet&set.width=0.1&input=1x8x8")
    # Links are made again when the network is known, and take the focus with them.
    expect(page.locator(".nasviz-graph .node").first).to_be_visible()
    settle(page)
    follow(page, "Segment graph", "Segment graph")
    try_a_structure(page)
    follow(page, "Start a search", "Search and train")
    expect(page.get_by_text("Scores of one batch before training")).to_be_visible()
    settle(page)
    tab_to(page, "Epochs")
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("1\n")
    expect(page.get_by_text("22 steps")).to_be_visible()
    settle(page)
    tab_to(page, "Start training")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Replay to step")).to_be_visible()
    settle(page)
    follow(page, "Show the sub-network", "Sub-network")
    expect(page.get_by_text("Difference from the zeroed full network")).to_be_visible()
    follow(page, "Export the sub-network", "Export")
    expect(page.get_by_text("Run with onnxruntime and compared")).to_be_visible()
    settle(page)
    tab_to(page, "Download")
    with page.expect_download() as found:
        page.keyboard.press("Enter")
    found.value.save_as(tmp_path / "model.onnx")
    assert onnxruntime.InferenceSession(tmp_path / "model.onnx").get_outputs()[0].shape[1] == 10


def try_a_structure(page: Page) -> None:
    """The graph is one stop: / searches it, arrows walk along its edges, Escape lets go."""
    expect(page.locator(".nasviz-graph .node").first).to_be_visible()
    tab_to(page, "stage")
    page.keyboard.press("/")
    page.keyboard.type("^conv2-\n")
    expect(page.get_by_role("heading", name="conv2-bn2")).to_be_visible()
    settle(page)
    tab_to(page, "Preview erasing")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Restore")).to_be_visible()
    expect(page.locator(".nasviz-graph g.s-erased").first).to_be_visible()
    settle(page)
