"""Latency, measured on demand: for K from a budget, and of a sub-network beside the full network."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.conftest import Server, picture, settle, show


def test_k_is_found_for_a_share_of_the_measured_latency(server: Server, page: Page) -> None:
    show(page, server, "Search_and_train?model=demonet&set.width=0.1")
    page.get_by_text("Latency", exact=True).click()
    page.get_by_role("button", name="Measure latency").click()
    expect(page.get_by_text("The full network takes")).to_be_visible()
    expect(page.get_by_text("Budget: remaining latency")).to_be_visible()
    settle(page)
    picture(page, "budget-latency")


def test_a_sub_network_is_timed_beside_the_full_network(server: Server, page: Page) -> None:
    show(page, server, "Sub-network?model=demonet&set.width=0.1")
    settle(page)  # a run in the list may take its place on the page first
    page.get_by_test_id("stButtonGroup").get_by_text("Manual selection", exact=True).click()
    page.get_by_role("combobox", name="Structures to erase").click()
    page.get_by_role("option", name="2 · maxpool-conv3-bn3").click()
    page.keyboard.press("Escape")
    settle(page)
    page.get_by_role("button", name="Construct", exact=True).click()
    expect(page.get_by_text("with nonzero weights change the outputs")).to_be_visible()
    page.get_by_role("button", name="Measure latency").click()
    expect(page.get_by_text("median and half the interquartile range")).to_be_visible()
    expect(page.get_by_text("Estimate from the sum of the operators")).to_be_visible()
    settle(page)
    page.get_by_role("heading", name="Latency").scroll_into_view_if_needed()
    picture(page, "subnet-latency")
