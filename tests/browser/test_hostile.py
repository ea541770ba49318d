"""A stranger's files and names in a real browser: one sentence each, nothing runs, the app goes on."""

from __future__ import annotations

import urllib.request
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from nasviz.catalog import NetworkSource
from nasviz.errors import NasvizError
from nasviz.runs import Labels, RunSettings, Store
from tests.browser.conftest import Server, picture, settle, show
from tests.hostile_files import EVIL_NAMES, WEIGHTS

HANDED_IN = ("pickle in an archive", "evil names", "zip bomb", "header of a terabyte", "empty")


@pytest.mark.parametrize("names", [HANDED_IN[:2], pytest.param(HANDED_IN[2:], marks=pytest.mark.slow)])
def test_hostile_weights_are_refused_one_after_the_other_and_the_app_goes_on(
    server: Server, page: Page, tmp_path: Path, names: tuple[str, ...]
) -> None:
    canary = tmp_path / "canary"
    show(page, server, "Model?model=demonet&set.width=0.1")
    settle(page)
    for name in names:
        make, _ = WEIGHTS[name]
        folder = tmp_path / name
        folder.mkdir()
        path = make(folder, canary)
        page.get_by_text("Custom width, input, classes").click()
        place = page.get_by_test_id("stFileUploader").filter(has_text="Trained weights")
        place.get_by_test_id("stFileUploaderDropzoneInput").set_input_files(path)
        expect(page.get_by_text(path.name)).to_be_visible()
        settle(page)
        page.get_by_role("button", name="Open DemoNet").click()
        expect(page.get_by_test_id("stAlert").first).to_be_visible()
        settle(page)
        picture(page, f"hostile {name}")
        show(page, server, "Model?model=demonet&set.width=0.1")
        expect(page.get_by_test_id("stAlert")).to_have_count(0)
    expect(page.get_by_text("parameters").first).to_be_visible()
    assert not canary.exists()
    with urllib.request.urlopen(server.url("_stcore/health"), timeout=5) as answer:
        assert answer.status == 200


def test_names_on_runs_are_text_in_every_list(server: Server, page: Page) -> None:
    store = Store(server.runs)
    settings = RunSettings.of(network=NetworkSource("demonet"), target_sparsity=1)
    runs = []
    for name in EVIL_NAMES:
        run = store.create(settings)
        runs.append(run)
        try:
            run.write_labels(Labels(name, (name[:40],), name))
        except NasvizError:
            run.write_labels(Labels(note=name))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("dialog", lambda dialog: asked.append(f"dialog {dialog.message}"))
    try:
        for address in ("Runs", f"Search_and_train?run={runs[0].id}", f"Search_and_train?run={runs[1].id}"):
            show(page, server, address)
            if address == "Runs":
                page.get_by_test_id("stDataFrame").first.wait_for()
            settle(page)
            main = page.get_by_test_id("stMain")
            assert main.locator("img").count() == 0
            assert main.locator("a[href^=javascript]").count() == 0
            picture(page, f"names {address[:8]}")
        assert not [url for url in asked if not url.startswith((server.url(), "data:", "blob:", "ws:"))]
    finally:
        for run in runs:
            store.erase(store.delete(run.id).name)
