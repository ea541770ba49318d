"""Objects show themselves in notebooks: one line, a graph and a table, and a widget that follows a run."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from playwright.sync_api import Browser, Page, expect
from torch import nn

import nasviz
from nasviz.catalog import NetworkSource
from nasviz.errors import ArgumentError
from nasviz.graph import search_space
from nasviz.notebook import _RunFollower, html, view
from nasviz.runs import Run, RunSettings, StepRecord, Store, Writer
from nasviz.runs.files import SPACE, write_json
from tests.graph.networks import demonet
from tests.runs.conftest import wait_until

STEPS = 40


@cache
def made() -> dict[str, Any]:
    model, example_inputs = nasviz.zoo.create("demonet", width=0.1)
    net = nasviz.trace(model, example_inputs)
    space = nasviz.search_space(net)
    sub = nasviz.construct(net, space, [space.removable[0].id])
    return {"net": net, "graph": net.trace_graph, "space": space, "sub": sub, "report": sub.report}


@pytest.fixture
def run(tmp_path: Path) -> Iterator[tuple[Run, Writer]]:
    """A run that is being written: its network is traced, and half of its steps are recorded."""
    found = Store(tmp_path).create(RunSettings.of(network=NetworkSource("demonet"), target_sparsity=1))
    with Writer(found) as writer:
        writer.describe(total_steps=STEPS)
        write_json(found.folder / SPACE, search_space(demonet()).to_json())
        record(writer, range(STEPS // 2))
        yield found, writer
        writer.finish("cancelled")


def record(writer: Writer, steps: range) -> None:
    ids = [s.id for s in search_space(demonet()).removable]
    for step in steps:
        writer.step(StepRecord(step, 0, "training", 1.0 / (step + 1), 0.5, 0.1))
        writer.scores(step, ids, [float(i) for i in ids])
    writer.flush()


@pytest.mark.parametrize("name", ["net", "graph", "space", "sub", "report"])
def test_a_repr_is_one_short_line(name: str) -> None:
    thing = made()[name]
    assert len(repr(thing)) < 250
    assert "\n" not in repr(thing)


def test_reprs_of_large_networks_are_short() -> None:
    space = search_space(demonet())
    parts = [
        space.segments,
        space.dependency,
        space.channels,
        space.partition,
        space.plan([1]),
        *space.structures,
    ]
    assert max(len(repr(part)) for part in parts) < 500


def test_tables_are_data_frames(run: tuple[Run, Writer]) -> None:
    space, report = made()["space"], made()["report"]
    table = space.table()
    assert list(table.index) == [s.id for s in space.structures]
    assert table["removable"].sum() == len(space.removable)
    sizes = report.table().set_index("size")
    assert sizes.loc["parameters", "after"] == report.params_after
    steps = run[0].table()
    assert list(steps.index) == list(range(STEPS // 2))
    assert steps["loss"].iloc[1] == 0.5


@pytest.mark.parametrize("name", ["net", "graph", "space", "sub"])
def test_html_holds_the_graph_and_the_table(name: str) -> None:
    thing = made()[name]
    shown = thing._repr_html_()
    assert "<svg" in shown
    if name != "graph" and name != "net":
        assert "<table" in shown


class Hostile(nn.Module):
    """Network whose module has markup as its name."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleDict({MARKUP: nn.Linear(4, 4), "last": nn.Linear(4, 4)})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers["last"](self.layers[MARKUP](x).relu())


MARKUP = "<img src=x onerror=alert(1)>"


def test_html_escapes_names_of_modules() -> None:
    shown = html(nasviz.trace(Hostile(), torch.randn(2, 4)))
    assert "<img" not in shown
    assert "&lt;img" in shown


def test_html_of_a_run_needs_no_network_yet(tmp_path: Path) -> None:
    found = Store(tmp_path).create(RunSettings.of(network=NetworkSource("demonet"), target_sparsity=1))
    assert found.id in html(found)


@pytest.mark.parametrize("thing", [3, "resnet18", object()])
def test_what_cannot_be_shown_is_refused(thing: object) -> None:
    with pytest.raises(ArgumentError, match="cannot be shown"):
        view(thing)


# ---- the widget in a browser, with the state that anywidget sends ----

HOST = """async ({ esm, css, state }) => {
  document.head.append(Object.assign(document.createElement("style"), { textContent: css }));
  const listeners = {};
  const model = {
    get: (name) => state[name],
    set: (name, value) => { state[name] = value; },
    save_changes: () => { window.saved = { ...state }; },
    on: (name, listener) => (listeners[name] ??= []).push(listener),
    off: () => {},
  };
  window.receive = (changed) => {
    Object.assign(state, changed);
    for (const name of Object.keys(changed)) for (const hear of listeners[`change:${name}`] ?? []) hear();
  };
  const url = URL.createObjectURL(new Blob([esm], { type: "text/javascript" }));
  const el = document.body.appendChild(document.createElement("div"));
  window.end = await (await import(url)).default().render({ model, el });
}"""


@pytest.fixture
def show(browser: Browser) -> Iterator[Callable[[Any], Page]]:
    """Render a widget in Chromium, offline; the test fails where the browser reports an error."""
    errors: list[str] = []
    context = browser.new_context(offline=True)

    def render(widget: Any) -> Page:
        state = json.loads(json.dumps(widget.get_state()))  # what the kernel sends to the browser
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.evaluate(HOST, {"esm": state.pop("_esm"), "css": state.pop("_css"), "state": state})
        return page

    yield render
    context.close()
    assert errors == []


def test_a_widget_shows_what_was_removed_and_tells_what_is_selected(show: Callable[[Any], Page]) -> None:
    sub = made()["sub"]
    widget = view(sub)
    page = show(widget)
    expect(page.locator(".nasviz-graph .node.s-erased")).to_have_count(1)
    page.locator(".nasviz-graph .node").first.click()
    page.wait_for_function("window.saved?.selected")
    kind, _, key = page.evaluate("window.saved.selected").partition(" ")
    assert (kind, key) in {(v["kind"], v["key"]) for v in widget.graph["vertices"]}
    page.evaluate("window.end()")


def test_a_widget_follows_a_run_that_trains_in_the_same_process(
    run: tuple[Run, Writer], show: Callable[[Any], Page]
) -> None:
    followed, writer = run
    widget = view(followed)
    assert widget.frame["step"] == STEPS // 2 - 1
    page = show(widget)
    expect(page.locator(".nasviz-live")).to_contain_text(f"step {STEPS // 2} of {STEPS}")
    assert page.locator(".nasviz-graph .node[class*=' b']").count()
    changed: list[int] = []
    widget.observe(lambda change: changed.append(change["new"]["step"]), "frame")
    record(writer, range(STEPS // 2, STEPS))
    wait_until(lambda: changed[-1:] == [STEPS - 1])
    page.evaluate("state => window.receive(state)", {"frame": widget.frame, "painted": widget.painted})
    expect(page.locator(".nasviz-live")).to_contain_text(f"step {STEPS} of {STEPS}")
    widget.close()


def test_widgets_of_one_page_keep_their_own_colours(show: Callable[[Any], Page]) -> None:
    shown, other = view(made()["sub"]).get_state(), view(made()["space"]).get_state()
    page = show(view(made()["sub"]))
    expect(page.locator(".nasviz-graph .node.s-erased")).to_have_count(1)
    for state in (other, shown):  # each imports the module anew, as anywidget does
        page.evaluate(HOST, {"esm": state.pop("_esm"), "css": state.pop("_css"), "state": state})
    expect(page.locator(".nasviz-graph .node.s-erased")).to_have_count(2)
    page.evaluate("window.end()")


def test_records_are_read_once_more_after_a_run_has_ended(
    run: tuple[Run, Writer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nasviz.notebook._REFRESH_S", 0.0)
    widget, followed = SimpleNamespace(closing=threading.Event()), SimpleNamespace(state="running")
    follower, seen = _RunFollower(widget, run[0], 300), []
    monkeypatch.setattr(follower, "run", followed)

    def refresh() -> None:
        seen.append(followed.state)
        followed.state = "cancelled"  # ends while the records are read

    monkeypatch.setattr(follower, "refresh", refresh)
    follower.follow()
    assert seen == ["running", "cancelled"]


def test_a_widget_of_a_run_that_is_gone_says_so(run: tuple[Run, Writer], tmp_path: Path) -> None:
    folder = run[0].folder
    widget = view(run[0])
    moved = folder.rename(tmp_path / "moved")
    wait_until(lambda: bool(widget.problem))
    moved.rename(folder)
    assert run[0].id in widget.problem
