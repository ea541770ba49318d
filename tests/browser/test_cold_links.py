"""A link into a server that has just started: the page behind it runs before any other one has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from nasviz.ui.frame import pages
from tests.browser.conftest import settle, show, start_server

ADDRESSES = {page.title: page.script.removeprefix("pages/").removesuffix(".py") for page in pages().values()}
ADDRESSES["Start"] = ""


QUICK = ("Segment graph", "Runs")
"""One with a graph, one with a list; each test starts a server and a child with torch."""
CASES = [t if t in QUICK else pytest.param(t, marks=pytest.mark.slow) for t in ADDRESSES]


@pytest.mark.parametrize("title", CASES)
def test_a_cold_link_shows_its_page(title: str, browser: Browser, page: Page, tmp_path: Path) -> None:
    server = start_server(tmp_path)
    try:
        show(page, server, ADDRESSES[title])
        name, level = ("Find the sub-network in your network", 1) if title == "Start" else (title, 2)
        expect(page.get_by_role("heading", name=name, exact=True, level=level)).to_be_visible()
        sidebar = page.get_by_test_id("stSidebarUserContent")
        for other in ADDRESSES:
            expect(sidebar.get_by_role("link", name=other, exact=True)).to_be_visible()
        expect(page).to_have_title(f"{title} · nasviz")
        expect(page).to_have_url(re.compile(rf"/{ADDRESSES[title]}\?model=demonet"))
        assert page.get_by_text("Page not found").count() == 0
        settle(page)
    finally:
        server.stop()
