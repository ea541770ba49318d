"""An ONNX file of a stranger: looked at on every page, its names shown and never obeyed, never trained."""

from __future__ import annotations

import re
from pathlib import Path

import onnx
from onnx import helper
from playwright.sync_api import Page, expect

from tests.browser.conftest import Server, on_page, picture, settle, show
from tests.onnx_viewer.models import conv_tensors, model, weight, written

EVIL = (
    "![x](http://127.0.0.1:9/p.png) <img src=http://127.0.0.1:9/q.png onerror=alert(1)>"
    " [c](javascript:alert(1)) http://evil.example **b**"
)
UNFOLDED = "() => !document.getAnimations().some(one => one.effect?.target?.tagName === 'DETAILS')"
"""An expander scrolls while it unfolds, and a list closes when what is around it scrolls."""


def stranger() -> onnx.ModelProto:
    """A block with a gate and a branch; what is not the path of a module is called by evil names."""
    nodes = [
        helper.make_node("Conv", ["x", "block.value.weight", "block.value.bias"], ["a"], EVIL),
        helper.make_node("Conv", ["x", f"{EVIL}.weight", f"{EVIL}.bias"], ["b"], EVIL),
        helper.make_node("Sigmoid", ["b"], ["s"], EVIL),
        helper.make_node("Mul", ["a", "s"], ["m"], EVIL),
        helper.make_node("Conv", ["m", "block.mix.weight", "block.mix.bias"], ["c"], EVIL),
        helper.make_node("Add", ["c", "x"], ["y"], EVIL),
    ]
    for node in nodes[:-1]:
        node.metadata_props.add(key="namespace", value=f": Net/block: Block/{node.op_type}: aten")
    tensors = [*conv_tensors("block.value", 4, 4), *conv_tensors("block.mix", 4, 4)]
    tensors += [weight(f"{EVIL}.weight", 4, 4, 1, 1), weight(f"{EVIL}.bias", 4)]
    net = model(nodes, *tensors)
    net.graph.name, net.producer_name = EVIL, EVIL
    return net


def upload(page: Page, path: Path) -> None:
    place = page.get_by_test_id("stFileUploader").filter(has_text="ONNX file")
    place.get_by_test_id("stFileUploaderDropzoneInput").set_input_files(path)


def test_a_strangers_file_is_looked_at_on_every_page_and_goes_no_further(
    server: Server, page: Page, tmp_path: Path
) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    show(page, server, "Model?model=demonet")
    page.get_by_text("ONNX (view only)", exact=True).click()
    upload(page, written(tmp_path, b"#!/bin/sh\ntouch canary\n", "script.onnx"))
    expect(page.get_by_test_id("stAlert")).to_contain_text("script.onnx failed: this is no ONNX file")

    upload(page, written(tmp_path, stranger(), "![n](http:127.0.0.1).onnx"))
    expect(page.get_by_text("not compared")).to_be_visible()
    expect(page.get_by_role("heading", name=re.compile(r"!\[n\]\(http"))).to_be_visible()
    settle(page)
    picture(page, "onnx")

    page.get_by_role("link", name="Segment graph", exact=True).click()
    expect(page.locator(".nasviz-graph .node.gate")).to_have_count(1)
    settle(page)
    page.get_by_text("Collapse modules").click()
    settle(page)
    page.wait_for_function(UNFOLDED)
    page.get_by_role("combobox", name="Module classes").click()
    page.get_by_role("option", name="Block · 1 module").click()
    expect(page.get_by_text("1 module is one vertex")).to_be_visible()
    expect(page.locator(".nasviz-graph .node.whole")).to_have_count(1)
    settle(page)
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".nasviz-graph .node.whole")).to_have_count(0)

    for title in ("Dependency graph", "Trace graph"):
        page.get_by_role("link", name=title, exact=True).first.click()
        on_page(page, title)
        expect(page.locator(".nasviz-graph .node")).not_to_have_count(0)
        settle(page)
    page.get_by_role("link", name="Search and train", exact=True).click()
    expect(page.get_by_text("it can be viewed, but not trained or pruned")).to_be_visible()
    expect(page.get_by_role("button", name="Start training")).to_have_count(0)

    page.reload()  # the address names the file, which is kept for as long as the server runs
    expect(page.get_by_text("it can be viewed, but not trained or pruned")).to_be_visible()
    main = page.get_by_test_id("stMain")
    assert main.locator("img").count() == 0
    assert not [url for url in asked if not url.startswith((server.url(), "data:", "blob:"))]
