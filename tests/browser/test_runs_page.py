"""The Runs page in a browser: a grid is started, watched to its end, and a point of its front is opened."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from nasviz.runs import SweepStore
from tests.browser.conftest import Server, picture, settle, show, wait_for


def test_a_grid_is_trained_from_the_page_and_a_point_of_its_front_opens_the_sub_network(
    fresh_server: Server, page: Page
) -> None:
    show(page, fresh_server, "Runs?model=demonet&input=1x8x8&set.width=0.1")
    page.get_by_text("New sweep", exact=True).click()
    expect(page.get_by_text("maximum K is 4 of 6")).to_be_visible()
    for name, value in (("Seeds", "1"), ("Epochs", "1")):
        page.get_by_role("spinbutton", name=name).fill(value)
        page.get_by_role("spinbutton", name=name).press("Enter")
        settle(page)
    page.get_by_role("button", name="Start 3 runs").click()
    expect(page.get_by_test_id("stMetric")).to_have_count(0)

    store = SweepStore(fresh_server.runs)
    assert wait_for(lambda: [s.counts["done"] for s in store.list()] == [3], 240)
    expect(page.get_by_text("3 of 3 runs finished")).to_be_visible()
    expect(page.get_by_text("done", exact=True)).to_be_visible()  # the page will not draw another chart
    expect(page.get_by_text("Click a point to open its sub-network")).to_be_visible()
    settle(page)
    picture(page, "sweep")
    point = page.locator("[class*='st-key-front'] .js-plotly-plot .scatterlayer .points path").first
    point.hover(force=True)  # a click picks what the pointer has found
    expect(page.locator(".js-plotly-plot .hoverlayer .hovertext")).to_be_visible()
    point.click(force=True)
    expect(page).to_have_url(re.compile(r"Sub-network\?.*run=.*-sweep-"))
    expect(page.get_by_text("Difference from the zeroed full network")).to_be_visible()
