"""What an address can do in a real browser: name things. Nothing runs before it is approved."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Server, picture, settle, show, start_server
from tests.browser.test_gate import site

NET = """
from pathlib import Path

import torch
from torch import nn

Path(__file__).with_name("imported").touch()


class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(256, 10))
"""


@pytest.fixture
def imported(server: Server) -> Path:
    """What is there once somebody has imported the operator's own module."""
    (server.trusted / "own_nets.py").write_text(NET)
    trace = server.trusted / "imported"
    trace.unlink(missing_ok=True)
    return trace


def test_a_link_to_a_command_is_refused_and_nothing_is_imported(
    server: Server, page: Page, imported: Path, tmp_path: Path
) -> None:
    canary = tmp_path / "canary"
    command = f"model=own_nets:torch.os.system&set.command=touch%20{canary}"
    for path in ("", "Trace_graph"):
        show(page, server, f"{path}?{command}")
        expect(page.get_by_test_id("stAlert").filter(has_text="cannot be set by an address")).to_be_visible()
    show(page, server, "Trace_graph?model=own_nets:torch.os.system")
    page.get_by_role("button", name="Import and trace it").click()
    expect(
        page.get_by_test_id("stAlert").filter(has_text="not defined in the trusted folder")
    ).to_be_visible()
    assert not canary.exists()


def test_a_hidden_frame_of_another_site_runs_nothing(
    server: Server, browser: Browser, imported: Path, tmp_path: Path
) -> None:
    canary = tmp_path / "canary"
    addresses = (
        f"Model?model=own_nets:torch.os.system&set.command=touch%20{canary}",
        "Model?model=own_nets:Net&input=1x8x8",
    )
    frames = "".join(f"<iframe hidden src='{server.url(address)}'></iframe>" for address in addresses)
    (tmp_path / "index.html").write_text(frames)
    context = browser.new_context()
    page = context.new_page()
    refused: list[str] = []
    page.on("console", lambda said: refused.append(said.text) if "frame" in said.text.lower() else None)
    with site(tmp_path) as other:
        page.goto(other)
        page.wait_for_load_state("networkidle")
        assert len(refused) >= len(addresses)
    # The control: a child that would have been started by the frames is at work before this one's answer.
    show(page, server, "Model?model=demonet&set.width=0.1&input=1x8x8")
    expect(page.get_by_text("Traced by")).to_be_visible()
    assert not canary.exists()
    assert not imported.exists()
    context.close()


def test_a_link_to_ones_own_network_shows_what_it_would_import_and_waits_for_a_click(
    server: Server, page: Page, imported: Path
) -> None:
    show(page, server, "Model?model=own_nets:Net&input=1x8x8")
    panel = page.locator(".st-key-consent")
    for text in (str(server.trusted / "own_nets.py"), str(server.trusted), "no arguments", "1×8×8"):
        expect(panel.get_by_text(text, exact=True)).to_be_visible()
    settle(page)
    picture(page, "consent")
    assert not imported.exists()
    page.get_by_role("link", name="Trace graph", exact=True).click()
    expect(page.get_by_role("heading", name="Import your code?")).to_be_visible()
    assert not imported.exists()
    page.get_by_role("button", name="Import and trace it").click()
    expect(page.locator(".nasviz-graph .node").first).to_be_visible()
    assert imported.exists()
    imported.unlink()
    other = page.context.new_page()  # another tab has agreed to nothing
    other.goto(page.url)
    expect(other.get_by_role("button", name="Import and trace it")).to_be_visible()
    assert not imported.exists()


def test_what_the_operator_has_listed_is_traced_at_once(page: Page, tmp_path: Path) -> None:
    (tmp_path / "trusted").mkdir()
    (tmp_path / "trusted" / "listed_nets.py").write_text(
        f"{NET}\n\ndef net():\n    return Net(), torch.rand(1, 1, 8, 8)\n"
    )
    server = start_server(tmp_path, "--open", "listed_nets:net")
    try:
        show(page, server, "Model")
        expect(page.get_by_text("Traced by")).to_be_visible()
        assert (tmp_path / "trusted" / "imported").exists()
        expect(page.get_by_role("button", name="Import and trace it")).to_have_count(0)
        show(page, server, "Model?model=listed_nets:net&classes=1000000")
        expect(page.get_by_role("button", name="Import and trace it")).to_be_visible()
    finally:
        server.stop()
