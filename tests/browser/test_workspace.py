"""The graph fills the window, and what is selected stays in view."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.conftest import Server, settle, show

SHARE = """stage => {
    const { left, top, right, bottom } = stage.getBoundingClientRect();
    const [width, height] = [Math.min(right, innerWidth) - left, Math.min(bottom, innerHeight) - top];
    return width * height / innerWidth / innerHeight;
}"""
LABELS = """graph => {
    const scale = Number(/scale\\(([\\d.]+)/.exec(graph.getAttribute("transform"))[1]);
    const styles = [...graph.querySelectorAll(".node text")].map(text => getComputedStyle(text));
    const shown = styles.filter(style => style.visibility === "visible");
    return Math.min(...shown.map(style => parseFloat(style.fontSize) * scale));
}"""


def test_the_graph_fills_the_window_and_what_is_selected_stays_in_view(page: Page, server: Server) -> None:
    page.set_viewport_size({"width": 1280, "height": 800})
    show(page, server, "Segment_graph?model=demonet")
    stage, graph = page.locator(".nasviz-graph .stage"), page.locator(".nasviz-graph .graph")
    node = page.locator('.nasviz-graph .node[aria-label^="conv5-bn5,"]')
    expect(node).to_be_visible()
    settle(page)
    assert stage.evaluate(SHARE) >= 0.6
    assert graph.evaluate(LABELS) >= 11
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollTop") == 0
    node.click()
    expect(page.locator(".nasviz-graph .panel")).to_contain_text("can be erased")
    page.wait_for_timeout(300)  # a late shift would be a mistake
    inner, outer = node.bounding_box(), stage.bounding_box()
    assert inner is not None
    assert outer is not None
    assert outer["x"] <= inner["x"] <= inner["x"] + inner["width"] <= outer["x"] + outer["width"]
    page.set_viewport_size({"width": 900, "height": 700})
    expect(node).to_be_in_viewport()
    show(page, server, "Search_and_train?model=demonet")
    expect(page.get_by_role("button", name="Start training")).to_be_in_viewport(ratio=1)
