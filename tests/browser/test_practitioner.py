"""A day's work on own images: see what would go, protect it, train, compare, export."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from nasviz.runs import Store
from tests.browser.conftest import Server, click_row, settle, show, wait_for
from tests.browser.test_journey import download, go_to

PATIENCE_MS = 180_000
"""For children with 25 million parameters."""
SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("squeezenet1_1", "resnet18", "resnet50")]


@pytest.mark.parametrize("network", ["demonet&set.width=0.1", *SLOW])
def test_from_a_network_and_own_images_to_two_runs_and_an_onnx_file(
    network: str, fresh_server: Server, page: Page, tmp_path: Path
) -> None:
    page.set_default_timeout(PATIENCE_MS)
    paint_images(tmp_path / "images")
    title = preview(page, fresh_server, f"model={network}&input=3x32x32&classes=10", tmp_path / "images")
    find_and_protect(page, title)
    look_again(page, title)
    train(page, "2", fresh_server, 1)
    page.get_by_role("button", name="New run").click()
    train(page, "1", fresh_server, 2)
    compare_the_runs(page)
    go_to(page, "Export")
    expect(page.get_by_text("Run with onnxruntime and compared")).to_be_visible(timeout=PATIENCE_MS)
    session = onnxruntime.InferenceSession(download(page, "model.onnx", tmp_path))
    assert session.get_inputs()[0].shape[1:] == [3, 32, 32]


def paint_images(folder: Path) -> None:
    """Ten classes of eight images: what is tried here is the way, not the learning."""
    drawn = np.random.default_rng(0)
    for number in range(80):
        place = folder / f"class {number % 10}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(drawn.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(place / f"{number}.png")


def preview(page: Page, server: Server, link: str, images: Path) -> str:
    """What would go before any training on images of one's own: the title of the first structure of it."""
    show(page, server, f"Search_and_train?{link}")
    page.get_by_role("combobox", name="Data", exact=True).click()
    page.get_by_role("option", name="Image folder").click()
    field = page.get_by_role("textbox", name="Data folder")
    field.fill(str(images))
    field.press("Enter")
    page.get_by_role("button", name="Compute scores").click()
    expect(page.get_by_text("Scores of one batch before training")).to_be_visible(timeout=PATIENCE_MS)
    erased = page.locator(".nasviz-graph g.node.s-erased").first
    expect(erased).to_be_attached()
    expect(page.locator(".nasviz-graph g.s-protected")).to_have_count(0)
    return (erased.get_attribute("aria-label") or "").split(", ")[0]


def find_and_protect(page: Page, title: str) -> None:
    """A regular expression finds the structure; what is protected is in the address."""
    go_to(page, "Segment graph")
    box = page.locator(".nasviz-graph input[type=search]")
    box.fill(re.escape(title))
    box.press("Enter")
    expect(page.get_by_role("heading", name=title, exact=True).first).to_be_visible()
    page.get_by_role("button", name="Protect", exact=True).click()
    expect(page.get_by_role("button", name="Unprotect")).to_be_visible()
    expect(page).to_have_url(re.compile(r"protect=\d+"))


def look_again(page: Page, title: str) -> None:
    """Another one would go now."""
    go_to(page, "Search and train")
    expect(page.get_by_text("Scores of one batch before training")).to_be_visible(timeout=PATIENCE_MS)
    expect(vertex(page, title)).to_have_class(re.compile("s-protected"))
    expect(page.locator(".nasviz-graph g.node.s-erased")).not_to_have_count(0)
    expect(vertex(page, title)).not_to_have_class(re.compile("s-erased"))


def vertex(page: Page, title: str) -> Locator:
    return page.locator(f'.nasviz-graph g.node[aria-label^="{title},"]')


def train(page: Page, epochs: str, server: Server, number: int) -> None:
    for name, value in (("Epochs", epochs), ("Batch size", "16")):
        field = page.get_by_role("spinbutton", name=name, exact=True)
        field.fill(value)
        field.press("Enter")
        settle(page)
    page.get_by_role("button", name="Start training").click()
    store = Store(server.runs)
    assert wait_for(lambda: [s.state for s in store.list()] == ["done"] * number, 300)
    expect(page.get_by_text("Replay to step")).to_be_visible()


def compare_the_runs(page: Page) -> None:
    go_to(page, "Runs")
    for row in (0, 1):
        click_row(page, row)
    expect(page.get_by_text("2 runs", exact=True)).to_be_visible()
    expect(page.locator(".js-plotly-plot").first).to_be_visible()
