"""A lecture: the tour from its first stop to its last, and a run replayed step by step."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from nasviz.runs import Run
from nasviz.ui.parts.tour import STOPS
from tests.browser.conftest import Server, on_page, settle, show


def test_the_tour_is_gone_through_and_a_run_is_replayed(server: Server, page: Page, done: Run) -> None:
    show(page, server, "Learn?model=demonet")
    page.get_by_role("button", name="Start the tour").click()
    for number, stop in enumerate(STOPS, 1):
        on_page(page, stop.title)
        expect(page.locator(".st-key-tour")).to_contain_text(f"{number} of {len(STOPS)}")
        settle(page)
        if stop is not STOPS[-1]:
            page.get_by_role("button", name="Next stop").click()
    page.get_by_role("button", name="End tour").click()
    expect(page.get_by_role("button", name="End tour")).to_have_count(0)

    show(page, server, f"Search_and_train?run={done.id}")
    erased = page.locator(".nasviz-graph g.s-zero")  # nothing is cut while it trains
    expect(erased).to_have_count(2)
    slider = page.get_by_role("slider", name="Replay to step")
    slider.focus()
    slider.press("Home")
    expect(page.locator(".nasviz-live")).to_contain_text("step 1")
    expect(erased).to_have_count(0)
    settle(page)
    slider.press("End")
    expect(erased).to_have_count(2)
