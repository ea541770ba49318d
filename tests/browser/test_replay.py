"""The page that replays a run without a server."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page, expect

from nasviz.draw.replay_page import replay_page
from nasviz.draw.run_space import read_space
from nasviz.runs import Run
from nasviz.runs.files import SPACE


def test_a_run_is_replayed_from_a_file(page: Page, done: Run, tmp_path: Path) -> None:
    assert done.end is not None
    plan = read_space(done.folder / SPACE).plan(done.end.result["selected"])
    file = tmp_path / "replay.html"
    file.write_text(replay_page(done, plan))
    page.emulate_media(reduced_motion="reduce")  # nothing plays by itself
    page.goto(file.as_uri())
    said = page.locator(".player output")
    total = len(done.tail().steps)
    expect(said).to_have_text(f"step 1 of {total}")
    expect(page.locator(".nasviz-graph .node.s-erased")).to_have_count(0)

    page.get_by_role("button", name="sub-network").click()
    expect(said).to_have_text("sub-network")
    assert page.locator(".nasviz-graph .node.s-erased").count() >= 1
    expect(page.locator(".facts")).to_contain_text("parameters")

    page.get_by_label("Speed").select_option("4")
    page.get_by_role("button", name="Play").click()  # begins again at the first step, and stops at the end
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    expect(said).to_have_text("sub-network", timeout=30_000)
    expect(page.get_by_role("button", name="Play")).to_be_visible()
