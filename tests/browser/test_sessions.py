"""Several tabs, a refresh, a server that goes away: none of them matters to a run."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from nasviz.catalog import NetworkSource
from nasviz.jobs import cancel_run, start_run
from nasviz.runs import Run, RunSettings, Store
from tests.browser.conftest import Server, settle, show, start_server, wait_for

NARROW = NetworkSource("demonet", settings={"width": 0.1})


@pytest.fixture
def run(server: Server) -> Run:
    """A run that would go on for hours."""
    settings = RunSettings.of(network=NARROW, target_sparsity=2, epochs=2000, device="cpu")
    run = Store(server.runs).create(settings)
    start_run(run)
    assert wait_for(lambda: run.tail().last_step >= 0, 60)
    yield run
    cancel_run(run, wait_s=10)
    assert wait_for(lambda: not run.is_active, 10)


def test_a_refresh_and_a_second_tab_show_the_same_run_which_any_of_them_can_stop(
    server: Server, browser: Browser, page: Page, run: Run
) -> None:
    show(page, server, f"Search_and_train?model=demonet&set.width=0.1&run={run.id}")
    expect(page.locator(".nasviz-live")).to_contain_text("running")
    page.reload()
    expect(page.locator(".nasviz-live")).to_contain_text("running")
    step = run.tail().last_step
    assert wait_for(lambda: run.tail().last_step > step, 20)

    with browser.new_context() as context:
        tab = context.new_page()
        tab.set_default_timeout(60_000)
        show(tab, server, f"Search_and_train?run={run.id}")
        expect(tab.locator(".nasviz-live")).to_contain_text("running")
        tab.get_by_role("button", name="Pause").click()
        expect(tab.get_by_role("button", name="Resume")).to_be_visible()
        expect(page.get_by_role("button", name="Resume")).to_be_visible()
        page.get_by_role("button", name="Resume").click()
        expect(tab.get_by_role("button", name="Pause")).to_be_visible()
        tab.get_by_role("button", name="Cancel").click()
        expect(tab.get_by_role("button", name="Resume")).to_be_visible()
    expect(page.get_by_text("Replay to step")).to_be_visible()
    assert run.state == "cancelled"


def test_a_run_outlives_its_server_and_the_next_one_finds_it(
    browser: Browser, page: Page, tmp_path: Path
) -> None:
    first = start_server(tmp_path)
    try:
        show(page, first, "Search_and_train?model=demonet&set.width=0.1")
        page.get_by_role("spinbutton", name="Epochs").fill("2000")
        page.get_by_role("spinbutton", name="Epochs").press("Enter")
        settle(page)
        page.get_by_role("button", name="Start training").click()
        expect(page.locator(".nasviz-live")).to_contain_text("running")
    finally:
        first.process.kill()
        first.process.wait()
    (summary,) = Store(first.runs).list()
    run = Store(first.runs).open(summary.id)
    try:
        step = run.tail().last_step
        assert wait_for(lambda: run.tail().last_step > step, 90)
        stop_it_from_another_server(page, tmp_path, run)
        assert run.state == "cancelled"
    finally:
        cancel_run(run, wait_s=10)


def stop_it_from_another_server(page: Page, folder: Path, run: Run) -> None:
    second = start_server(folder)
    try:
        show(page, second, f"Search_and_train?run={run.id}")
        expect(page.locator(".nasviz-live")).to_contain_text("running")
        page.get_by_role("button", name="Cancel").click()
        expect(page.get_by_role("button", name="Resume")).to_be_visible()
    finally:
        second.stop()
