from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from nasviz.draw.report import subnetwork_report
from nasviz.graph import search_space
from tests.graph.networks import demonet


def test_the_graphs_of_a_report_zoom_without_a_server(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    space = search_space(demonet())
    path = tmp_path / "report.html"
    path.write_text(subnetwork_report("DemoNet", space, space.plan([1, 2, 10])), encoding="utf-8")
    context = browser.new_context(offline=True)
    errors: list[str] = []
    try:
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(path.as_uri())
        expect(page.locator(".nasviz-graph").first.locator(".node.s-erased")).to_have_count(3)
        graph = page.locator(".nasviz-graph .graph").first
        before = graph.get_attribute("transform")
        page.locator('.nasviz-graph [data-do="in"]').first.click()
        expect(graph).not_to_have_attribute("transform", before or "")
        page.locator('.nasviz-graph .node[aria-label^="conv6-bn6,"]').first.click()
        note = page.locator(".nasviz-graph .panel .note").first
        expect(note).to_have_text("conv6.weight loses columns 0-175")
    finally:
        context.close()
    assert errors == []
