"""Buttons that start the next step from a finished search, clicked in a browser of a small laptop."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from nasviz.catalog import NetworkSource
from nasviz.jobs import start_run
from nasviz.runs import Run, RunSettings, Store
from tests.browser.conftest import Server, on_page, picture, settle, show, wait_for


@pytest.fixture
def small_page(page: Page) -> Page:
    page.set_viewport_size({"width": 1280, "height": 800})
    return page


def finished(server: Server, network: str, own: dict[str, Any], **settings: Any) -> Run:
    """A run of one epoch on digits that is done."""
    source = NetworkSource(network, (1, 8, 8), settings=own)
    run = Store(server.runs).create(RunSettings.of(network=source, epochs=1, **settings))
    start_run(run)
    assert wait_for(lambda: run.end is not None, 120)
    assert run.end.state == "done", run.end.error
    return run


@pytest.mark.slow
def test_the_full_network_of_a_search_is_built_with_one_click(server: Server, small_page: Page) -> None:
    page, own = small_page, {"channels": 2, "cells": 1}
    run = finished(server, "nas_bench_201", own, method="darts", batch_size=256)
    show(page, server, f"Sub-network?run={run.id}")
    settle(page)
    button = page.get_by_role("button", name="Build the full network")
    button.scroll_into_view_if_needed()
    picture(page, "genotype-before")
    button.click()
    on_page(page, "Search and train")
    expect(page.get_by_test_id("stSidebarUserContent")).to_contain_text("Network of a genotype")
    ready = page.get_by_role("button", name="Start training")
    expect(ready).to_be_visible(timeout=300_000)  # once the 15 cells have been traced
    settle(page)
    picture(page, "genotype-after")


def test_more_groups_are_pruned_with_one_click(server: Server, small_page: Page) -> None:
    page, own = small_page, {"width": 0.1}
    search = {"method": "gsparsity", "pruning": "threshold", "threshold": 1e-12, "mu": 0.8, "lr": 0.3}
    run = finished(server, "demonet", own, **search)
    show(page, server, f"Search_and_train?run={run.id}")
    settle(page)
    button = page.get_by_role("button", name="with the same accuracy")
    button.scroll_into_view_if_needed()
    picture(page, "prune-before")
    button.click()
    store = Store(server.runs)
    assert wait_for(lambda: store.list()[0].id != run.id, 60)
    repeated = store.open(store.list()[0].id)
    assert wait_for(lambda: repeated.end is not None, 120)
    assert repeated.settings == run.settings.changed(threshold=0.5)
    assert repeated.end.result["pruning"]["chosen"]["pruned"] > 0
    assert repeated.end.result["is_valid"]
    expect(page.locator(".nasviz-live")).to_contain_text("done")
    settle(page)
    picture(page, "prune-after")
