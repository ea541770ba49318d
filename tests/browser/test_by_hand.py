"""Cutting without training, weights of one's own, and the list of runs."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from playwright.sync_api import Page, expect
from safetensors.numpy import save_file

from nasviz.catalog import NetworkSource
from nasviz.runs import RunSettings, Store
from tests.browser.conftest import Server, click_row, on_page, picture, settle, show


def test_any_structures_are_cut_by_hand_and_compared(server: Server, page: Page) -> None:
    show(page, server, "Sub-network?model=demonet&set.width=0.1")
    settle(page)  # a run in the list may take its place on the page first
    page.get_by_test_id("stButtonGroup").get_by_text("Manual selection", exact=True).click()
    page.get_by_role("combobox", name="Structures to erase").click()
    page.get_by_role("option", name="2 · maxpool-conv3-bn3").click()
    page.keyboard.press("Escape")
    settle(page)
    page.get_by_role("button", name="Construct", exact=True).click()
    expect(page.get_by_text("with nonzero weights change the outputs")).to_be_visible()
    expect(page.locator(".nasviz-graph")).to_have_count(2)
    settle(page)
    picture(page, "by-hand")
    step_through_the_passes(page)
    search_again_in_it(page)
    fine_tune_it(page)


def step_through_the_passes(page: Page) -> None:
    full = page.locator(".nasviz-graph").first
    expect(full.locator("g.s-erased")).not_to_have_count(0)
    page.get_by_text("Zeroed", exact=True).click()
    expect(page.get_by_text("Zero: maxpool-conv3-bn3.")).to_be_visible()
    expect(full.locator("g.s-erased")).to_have_count(0)
    page.get_by_text("1 · Erase", exact=True).click()
    expect(page.get_by_text("Pass 1 erases them and their edges: 3 vertices")).to_be_visible()
    expect(full.locator("g.s-erased")).not_to_have_count(0)
    settle(page)


def search_again_in_it(page: Page) -> None:
    page.get_by_role("button", name="Search again").click()
    on_page(page, "Segment graph")
    expect(page.get_by_text("At most 3 of 5 structures can be erased")).to_be_visible()
    expect(page).to_have_url(re.compile(r"Segment_graph\?subnet=[0-9a-f]{32}$"))
    page.reload()  # the address names what is kept beside the runs
    expect(page.get_by_text("At most 3 of 5 structures can be erased")).to_be_visible()
    expect(page.get_by_test_id("stSidebarUserContent")).to_contain_text("Sub-network of DemoNet")


def fine_tune_it(page: Page) -> None:
    page.get_by_role("link", name="Sub-network", exact=True).click()
    settle(page)  # a run in the list may take its place on the page first
    page.get_by_test_id("stButtonGroup").get_by_text("Manual selection", exact=True).click()
    page.get_by_role("combobox", name="Structures to erase").click()
    page.get_by_role("option", name="conv2-bn2").click()
    page.keyboard.press("Escape")
    settle(page)
    page.get_by_role("button", name="Construct", exact=True).click()
    page.get_by_role("button", name="Fine-tune").click()
    page.get_by_role("spinbutton", name="Epochs").fill("1")
    page.get_by_role("spinbutton", name="Epochs").press("Enter")
    settle(page)
    page.get_by_role("button", name="Start fine-tuning").click()
    expect(page.locator(".nasviz-live")).to_contain_text("done")
    expect(page.get_by_text("Sub-network 2 of DemoNet").first).to_be_visible()


def test_weights_that_do_not_fit_are_told(server: Server, page: Page, tmp_path: Path) -> None:
    save_file({"conv1.weight": np.zeros((3, 3), np.float32)}, tmp_path / "odd.safetensors")
    show(page, server, "Model?model=demonet")
    page.get_by_text("Custom width, input, classes").click()
    page.get_by_test_id("stFileUploaderDropzoneInput").first.set_input_files(tmp_path / "odd.safetensors")
    expect(page.get_by_text("odd.safetensors")).to_be_visible()
    settle(page)
    page.get_by_role("button", name="Open DemoNet").click()
    expect(page.get_by_test_id("stAlert").filter(has_text="conv1")).to_be_visible()


def test_a_run_is_opened_from_the_list_and_deleted_to_the_trash(server: Server, page: Page) -> None:
    store = Store(server.runs)
    run = store.create(RunSettings.of(network=NetworkSource("stacked_unets"), target_sparsity=1, seed=77))
    show(page, server, "Runs")
    click_row(page, 0)  # the newest run stands first
    expect(page.get_by_text("StackedUnets · K = 1")).to_be_visible()
    page.get_by_role("button", name="Open run", exact=True).click()
    expect(page.get_by_text("has not been started")).to_be_visible()
    expect(page).to_have_url(server.url(f"Search_and_train?model=stacked_unets&run={run.id}"))

    show(page, server, "Runs")
    click_row(page, 0)
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("button", name="Delete run").click()
    expect(page.get_by_text("StackedUnets · K = 1")).to_have_count(0)
    assert (server.runs / ".trash" / run.id).is_dir()
