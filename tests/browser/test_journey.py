"""The main journey: see DemoNet, choose K, train on real digits, look at what is left, take it home."""

from __future__ import annotations

import os
import re
import zipfile
from pathlib import Path

import numpy as np
import psutil
import torch
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.conftest import Server, film, on_page, picture, settle, show


def test_from_demonet_to_an_onnx_file_that_runs(server: Server, page: Page, tmp_path: Path) -> None:
    open_a_narrow_demonet(server, page)
    look_at_the_graphs(page)
    train_down_to_three(page)
    compare(page)
    run_what_was_downloaded(page, tmp_path)
    assert "torch" not in libraries_of(server.process.pid)


def open_a_narrow_demonet(server: Server, page: Page) -> None:
    show(page, server, "")
    expect(page.get_by_text("green segments are removable, at most 4")).to_be_visible()
    picture(page, "start")
    go_to(page, "Model")
    expect(page.get_by_text("817,010")).to_be_visible()
    expect(page.get_by_text("208,871,584")).to_be_visible()
    picture(page, "model")
    page.get_by_text("Custom width, input, classes").click()
    page.get_by_role("spinbutton", name="Width").fill("0.25")
    page.get_by_role("spinbutton", name="Width").press("Enter")
    settle(page)
    page.get_by_role("button", name="Open DemoNet").click()
    expect(page.get_by_text("51,896")).to_be_visible()
    expect(page).to_have_url(re.compile(r"Model\?model=demonet&set\.width=0\.25"))


def look_at_the_graphs(page: Page) -> None:
    go_to(page, "Trace graph")
    expect(page.locator(".nasviz-graph svg").first).to_be_visible()
    expect(page.get_by_text("25 operators, 28 edges")).to_be_visible()
    picture(page, "trace-graph")

    go_to(page, "Segment graph")
    vertex(page, "conv2 · bn2").click()
    page.get_by_role("button", name="Preview erasing").click()
    expect(page.get_by_text("conv6.weight loses columns")).to_be_visible()
    expect(page.locator(".nasviz-graph .s-erased").first).to_be_visible()
    picture(page, "segment-graph")
    film(page, 1800)
    page.get_by_role("button", name="Restore").click()
    protect = page.get_by_role("switch", name="Protect it from removal")
    for is_protected in (True, False):
        protect.click()
        expect(protect).to_be_checked(checked=is_protected)

    go_to(page, "Dependency graph")
    expect(page.get_by_text("9 stems produce channels")).to_be_visible()
    expect(page.get_by_text("Dependent slices")).to_be_visible()
    picture(page, "dependency-graph")


def train_down_to_three(page: Page) -> None:
    go_to(page, "Search and train")
    expect(page.get_by_text("K = 3 of 6 structures (50%)")).to_be_visible()
    expect(page.get_by_text("Scores of one batch before training")).to_be_visible()
    picture(page, "search-and-train")
    film(page, 1500)
    epochs = 15 if "NASVIZ_PICTURES" in os.environ else 2  # pictures show a network that has learned
    page.get_by_role("spinbutton", name="Epochs").fill(str(epochs))
    page.get_by_role("spinbutton", name="Epochs").press("Enter")
    if epochs == 2:
        expect(
            page.get_by_text("44 steps: 4 of warm-up, 9 of projection, 31 of further training")
        ).to_be_visible()
    page.get_by_role("button", name="Start training").click()
    live = page.locator(".nasviz-live")
    expect(live).to_contain_text("running")
    if "NASVIZ_PICTURES" in os.environ:
        expect(live).to_contain_text("warm-up", timeout=120_000)
    while "NASVIZ_PICTURES" in os.environ and page.get_by_role("button", name="Cancel").count():
        film(page, 120)
        page.wait_for_timeout(900)
    if "NASVIZ_PICTURES" not in os.environ:
        expect(live).to_contain_text("projection", timeout=120_000)
    expect(page.get_by_text("Replay to step")).to_be_visible(timeout=300_000)
    expect(live).to_contain_text("done")
    expect(page.locator(".nasviz-graph g.s-zero")).to_have_count(3)
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)
    picture(page, "replay")
    film(page, 1800)
    speed = page.get_by_role("slider", name="Steps per second")
    speed.focus()
    speed.press("Home")  # one step per second: it cannot reach the end before it is paused
    settle(page)
    page.get_by_role("button", name="Play", exact=True).click()
    expect(live).to_contain_text("warm-up")
    page.get_by_role("button", name="Pause replay").click()


def compare(page: Page) -> None:
    page.get_by_role("link", name="Show the sub-network", exact=True).click()
    expect(page.get_by_text("Difference from the zeroed full network")).to_be_visible()
    expect(page.locator(".nasviz-graph")).to_have_count(2)
    expect(page.get_by_text("without fine-tuning")).to_be_visible()
    settle(page)
    film(page, 2000)
    page.locator(".nasviz-graph").last.scroll_into_view_if_needed()
    picture(page, "sub-network")
    film(page, 3000)


def run_what_was_downloaded(page: Page, folder: Path) -> None:
    go_to(page, "Export")
    expect(page.get_by_text("Run with onnxruntime and compared")).to_be_visible(timeout=120_000)
    expect(page.get_by_text("Run and compared")).to_be_visible()
    picture(page, "export")

    onnx = download(page, "model.onnx", folder)
    import onnxruntime

    session = onnxruntime.InferenceSession(str(onnx), providers=["CPUExecutionProvider"])
    images = np.random.default_rng(0).random((5, 1, 28, 28), dtype=np.float32)
    (logits,) = session.run(None, {session.get_inputs()[0].name: images})
    assert logits.shape == (5, 10)
    assert np.isfinite(logits).all()

    with zipfile.ZipFile(download(page, "model.zip", folder)) as archive:
        assert "subnet/model.py" in archive.namelist()
    program = torch.export.load(download(page, "model.pt2", folder)).module()
    np.testing.assert_allclose(program(torch.from_numpy(images)).detach(), logits, rtol=1e-3, atol=1e-4)
    for name in ("full.png", "subnet.png"):
        with Image.open(download(page, name, folder)) as image:
            assert image.format == "PNG"
    with zipfile.ZipFile(download(page, "model-explorer.zip", folder)) as archive:
        assert "fate.json" in archive.namelist()
    assert download(page, "report.json", folder).read_text().startswith("{")
    assert "<svg" in download(page, "subnet.svg", folder).read_text()
    assert download(page, "subnet.dot", folder).read_text().startswith("digraph")


def go_to(page: Page, title: str) -> None:
    page.get_by_test_id("stSidebarUserContent").get_by_role("link", name=title, exact=True).click()
    on_page(page, title)
    settle(page)


def vertex(page: Page, label: str) -> object:
    return page.locator(".nasviz-graph g.node", has_text=label).first


def download(page: Page, name: str, folder: Path) -> Path:
    with page.expect_download() as found:
        page.locator(f".st-key-download-{name.replace('.', '-')} button").click()
    path = folder / name
    found.value.save_as(path)
    return path


def libraries_of(pid: int) -> str:
    """Files that a process has mapped into its memory."""
    return "\n".join(region.path for region in psutil.Process(pid).memory_maps())
