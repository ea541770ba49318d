"""A training loop of the user, in a thread of its own, watched in the app: live, then cut and exported."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from playwright.sync_api import Page, expect

import nasviz
from nasviz.runs import Run, Store
from tests.browser.conftest import Server, click_row, picture, settle, show, wait_for
from tests.browser.test_journey import download, go_to


class Loop(threading.Thread):
    """Trains a narrow DemoNet; waits in the middle of its warm-up until it may go on."""

    def __init__(self, runs: Path) -> None:
        super().__init__(daemon=True)
        self.runs, self.may_end, self.run_id, self.error = runs, threading.Event(), "", ""

    def run(self) -> None:
        model, inputs = nasviz.zoo.create("demonet", input_shape=(1, 8, 8), width=0.1)
        net = nasviz.trace(model, inputs)
        space = nasviz.search_space(net)
        phases = {"warmup_steps": 30, "projection_steps": 10}
        optimizer = nasviz.optim.create("h2spg", net, space, lr=0.05, target_sparsity=2, **phases)
        x, y = torch.randn(16, 1, 8, 8), torch.arange(16) % 10
        with nasviz.watch(
            net, space, optimizer, runs=self.runs, name="My <b>loop</b>", total_steps=50
        ) as rec:
            self.run_id = rec.run.id
            for step in range(50):
                while not rec.wants_stop and step == 20 and not self.may_end.is_set():
                    time.sleep(0.02)
                optimizer.zero_grad()
                loss = torch.nn.functional.cross_entropy(net(x), y)
                loss.backward()
                optimizer.step()
                rec.log(loss=loss, examples=16)
            rec.evaluate([(x, y)])


@pytest.mark.slow
def test_a_loop_of_ones_own_is_watched_steered_cut_and_exported(
    fresh_server: Server, page: Page, tmp_path: Path
) -> None:
    loop = Loop(fresh_server.runs)
    loop.start()
    assert wait_for(lambda: bool(loop.run_id), 60)
    run = Store(fresh_server.runs).open(loop.run_id)
    steer(page, fresh_server, run)
    loop.may_end.set()
    assert wait_for(lambda: run.state == "done", 60)
    assert run.end.result["target_sparsity"] == len(run.end.result["selected"]) == 1
    expect(page.get_by_text("Replay to step")).to_be_visible()
    expect(page.get_by_role("button", name="Resume")).to_have_count(0)
    picture(page, "watched")
    go_to(page, "Segment graph")
    expect(page.get_by_text("conv1", exact=False).first).to_be_visible()
    go_to(page, "Sub-network")
    expect(page.get_by_text("Difference from the zeroed full network")).to_be_visible()
    expect(page.get_by_role("button", name="Measure latency")).to_have_count(0)
    go_to(page, "Export")
    expect(page.get_by_text("Run with onnxruntime and compared")).to_be_visible()
    session = onnxruntime.InferenceSession(download(page, "model.onnx", tmp_path))
    image = np.zeros((3, 1, 8, 8), np.float32)
    assert session.run(None, {session.get_inputs()[0].name: image})[0].shape == (3, 10)
    go_to(page, "Search and train")
    page.get_by_role("button", name="New run").click()
    expect(page.get_by_text("was trained by a loop of its own")).to_be_visible()
    go_to(page, "Runs")
    click_row(page, 0)
    expect(page.get_by_role("button", name="Open run")).to_be_visible()
    for name in ("Continue", "Duplicate", "Resume"):
        expect(page.get_by_role("button", name=name, exact=True)).to_have_count(0)


def steer(page: Page, server: Server, run: Run) -> None:
    """Ask the loop for another K, pause it, and let it go on."""
    show(page, server, f"Search_and_train?run={run.id}")
    expect(page.get_by_text("My <b>loop</b> · K = 2 · H2SPG · own training loop")).to_be_visible()
    page.get_by_role("button", name="Change K").click()
    field = page.get_by_role("spinbutton", name="K: structures to remove")
    field.fill("1")
    field.press("Enter")
    settle(page)
    page.get_by_role("button", name="Apply").click()
    assert wait_for(lambda: run.tail().facts["target_sparsity"] == 1, 10)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Pause").click()
    assert wait_for(lambda: run.state == "paused", 10)
    page.get_by_role("button", name="Resume").click()
    assert wait_for(lambda: run.state == "running", 10)
