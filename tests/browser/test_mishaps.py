"""What goes wrong is told in words, and the page goes on working."""

from __future__ import annotations

import shutil

import pytest
from playwright.sync_api import Page, expect

from nasviz.catalog import NetworkSource
from nasviz.runs import RunSettings, Store
from tests.browser.conftest import Server, settle, show

BRANCHING = """
import torch


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(1, 4, 3)

    def forward(self, x):
        y = self.conv(x)
        if y.sum() > 0:
            y = y.relu()
        return y.flatten(1).sum(dim=1, keepdim=True)
"""


def alert(page: Page, text: str) -> None:
    """Some box on the page says this, and no traceback is shown."""
    expect(page.get_by_test_id("stAlert").filter(has_text=text).first).to_be_visible()
    settle(page)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("Model?model=demonnet", "nearest: demonet"),
        ("Model?model=demonet&input=3,32", "cannot be opened"),
        ("Model?model=evil.module:Net&trust=/", "no module evil.module in the trusted folders"),
        ("Search_and_train?run=20200101-000000-demonet-abcdef", "no run '20200101-000000-demonet-abcdef'"),
        ("Search_and_train?model=demonet&run=../../etc", "is not a run id"),
    ],
)
def test_an_address_that_cannot_be_opened_says_why(
    server: Server, page: Page, address: str, words: str
) -> None:
    show(page, server, address)
    alert(page, words)


def test_pages_without_a_run_point_to_the_page_before(fresh_server: Server, page: Page) -> None:
    for path in ("Sub-network", "Export"):
        show(page, fresh_server, path)
        alert(page, "No finished runs yet")
        expect(page.get_by_role("link", name="Start a search")).to_be_visible()


def test_a_wrong_input_shape_is_told_and_the_network_stays(server: Server, page: Page) -> None:
    show(page, server, "Model")
    expect(page.get_by_role("paragraph").filter(has_text="817,010")).to_be_visible()
    page.get_by_text("Custom width, input, classes").click()
    shape = page.get_by_role("textbox", name="Input shape (C,H,W)")
    shape.fill("3,32")
    shape.press("Enter")
    settle(page)
    page.get_by_role("button", name="Open DemoNet").click()
    alert(page, "expected three integers")
    expect(page.get_by_role("paragraph").filter(has_text="817,010")).to_be_visible()


def test_warm_up_longer_than_the_run_is_told_before_anything_starts(server: Server, page: Page) -> None:
    show(page, server, "Search_and_train?model=demonet&set.width=0.1")
    page.get_by_text("Advanced optimizer settings").click()
    steps = page.get_by_role("spinbutton", name="Warm-up steps")
    steps.fill("5000")
    steps.press("Enter")
    alert(page, "warmup_steps=5000")
    expect(page.get_by_role("button", name="Start training")).to_have_count(0)


def test_a_run_whose_folder_is_deleted_under_the_page_is_told(server: Server, page: Page) -> None:
    store = Store(server.runs)
    run = store.create(RunSettings.of(network=NetworkSource("demonet"), target_sparsity=1))
    show(page, server, f"Search_and_train?run={run.id}")
    alert(page, "has not been started")
    shutil.rmtree(run.folder)
    page.get_by_role("button", name="Start", exact=True).click()
    alert(page, "no run")


def test_code_that_does_not_trace_is_told_with_its_line(server: Server, page: Page) -> None:
    (server.trusted / "branching.py").write_text(BRANCHING)
    show(page, server, "Model?model=branching:Net&input=1x8x8")
    page.get_by_role("button", name="Import and trace it").click()
    alert(page, "cannot be traced")
    alert(page, "branching.py:12")
