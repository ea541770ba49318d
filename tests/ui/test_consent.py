"""A name is no permission: what a session may import or trace without a person having agreed to it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from nasviz import jobs
from nasviz.catalog import NetworkSource, is_modest
from nasviz.errors import ConsentNeededError
from nasviz.runs import RunSettings, Store, SweepSettings, SweepStore
from nasviz.ui import address, consent, session
from nasviz.ui.options import options
from nasviz.ui.serving import SCRIPT

CODE = """
from pathlib import Path
Path(__file__).with_name("canary").touch()
from torch import nn
def net(): return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
def data(): raise RuntimeError
"""


@pytest.fixture
def trusted(tmp_path: Path) -> Iterator[Path]:
    """Code that leaves a trace where it is imported; no test here agrees to it."""
    folder = tmp_path / "trusted"
    folder.mkdir()
    (folder / "own_nets.py").write_text(CODE)
    yield folder
    options.cache_clear()
    assert not (folder / "canary").exists()


def start(monkeypatch: pytest.MonkeyPatch, trusted: Path, *more: str) -> None:
    monkeypatch.setattr(jobs, "warm_up", lambda: None)
    runs = str(trusted.parent / "runs")
    monkeypatch.setattr(sys, "argv", ["app.py", "--runs", runs, "--trust", str(trusted), *more])
    options.cache_clear()


def visit(page: str, **asked: str) -> AppTest:
    app = AppTest.from_file(str(SCRIPT), default_timeout=60)
    for name, value in asked.items():
        app.query_params[name] = value
    return app.run().switch_page(f"pages/{page}.py").run()


IMAGENET = {"channels": 48, "cells": 14, "stem": "imagenet"}
"""The larger form of darts_v2 that its document lists."""
PAGES = ("Model", "Trace_graph", "Segment_graph", "Dependency_graph", "Search_and_train")


@pytest.mark.parametrize("page", PAGES)
def test_an_address_that_names_code_shows_a_question_on_every_page(
    page: str, trusted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(monkeypatch, trusted)
    app = visit(page, model="own_nets:net", input="1x8x8")
    assert not app.exception
    said = [text.value for text in app.text]
    assert str(trusted / "own_nets.py") in said
    assert str(trusted) in said
    assert "no arguments" in said
    assert [button.label for button in app.button if "Import" in button.label] == ["Import and trace it"]
    assert not app.session_state["nasviz"].jobs


def test_arguments_for_code_are_not_taken_from_an_address(
    trusted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(monkeypatch, trusted)
    app = visit("Runs", model="own_nets:net", **{"set.command": "touch canary"})
    state = app.session_state["nasviz"]
    assert state.source == NetworkSource("demonet")
    source = NetworkSource("own_nets:net", trust=(str(trusted),), settings={"command": "x"})
    monkeypatch.setattr(session, "current", lambda: session.Session(source))
    assert "command" not in str(address.link())


def test_every_way_to_a_child_or_a_worker_asks_first(trusted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start(monkeypatch, trusted)
    jobs.trust_only([trusted], trusted.parent / "runs", consent.require)
    source = NetworkSource("own_nets:net", (1, 8, 8), trust=(str(trusted),))
    store = Store(trusted.parent / "runs")
    run = store.create(RunSettings(network=source, epochs=1))
    own_data = RunSettings(
        network=NetworkSource("demonet"), data="own_nets:data", trust=(str(trusted),), epochs=1
    )
    other = store.create(own_data)
    sweep = SweepStore(store.folder).create(SweepSettings(run.settings, ()))
    large = NetworkSource("demonet", (3, 512, 512))
    ways = {
        "analyze": lambda: jobs.submit(jobs.Analyze(source=source)),
        "preview": lambda: jobs.submit(jobs.Preview(source=source, data="digits")),
        "preview data": lambda: jobs.submit(
            jobs.Preview(source=NetworkSource("demonet"), data="own_nets:data", trust=(str(trusted),))
        ),
        "construct": lambda: jobs.submit(jobs.Construct(source=source, erased=[1], folder="unused")),
        "construct run": lambda: jobs.submit(jobs.Construct(run=run.folder, erased=[1])),
        "time": lambda: jobs.submit(jobs.TimeVertices(source=source)),
        "start": lambda: jobs.start_run(run),
        "start data": lambda: jobs.start_run(other),
        "sweep": lambda: jobs.start_sweep(sweep),
        "settings": lambda: jobs.require_trusted(own_data),
        "large": lambda: jobs.submit(jobs.Analyze(source=large)),
    }
    for name, way in ways.items():
        with pytest.raises(ConsentNeededError):
            pytest.fail(f"{name} began: {way()}")
    assert (run.state, other.state) == ("created", "created")


def answers(asked: NetworkSource) -> AppTest:
    def script(asked: object) -> None:
        import streamlit as st

        from nasviz.ui import consent

        st.session_state["is_agreed"] = consent.is_agreed(asked)
        if not st.session_state["is_agreed"]:
            consent.ask(asked)

    app = AppTest.from_function(script, kwargs={"asked": asked})
    app.session_state["nasviz"] = session.Session(asked)
    return app.run(timeout=60)


def test_what_the_operator_listed_is_open_as_it_is_and_with_nothing_added(
    trusted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(monkeypatch, trusted, "--open", "own_nets:net")
    here = (str(trusted),)
    for source, is_open in (
        (NetworkSource("own_nets:net", trust=here), True),
        (NetworkSource("own_nets:other", trust=here), False),
        (NetworkSource("own_nets:net", trust=here, settings={"command": "x"}), False),
        (NetworkSource("own_nets:net", (3, 4096, 4096), trust=here), False),
        (NetworkSource("own_nets:net", None, 10**6, trust=here), False),
    ):
        assert answers(source).session_state["is_agreed"] is is_open, source


def test_a_click_agrees_to_this_source_in_this_session_only(
    trusted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(monkeypatch, trusted)
    asked = NetworkSource("own_nets:net", trust=(str(trusted),), settings={"n": 1})
    app = answers(asked)
    assert "n=1" in [text.value for text in app.text]
    assert "def net()" in app.code[0].value
    next(button for button in app.button if button.label == "Import and trace it").click()
    app.run()
    assert app.session_state["is_agreed"] is True
    assert app.session_state["nasviz"].agreed == {asked}
    assert answers(asked).session_state["is_agreed"] is False


@pytest.mark.parametrize(
    ("source", "is_one_step"),
    [
        (NetworkSource("demonet"), True),
        (NetworkSource("demonet", (3, 32, 32), 10, settings={"width": 0.25}), True),
        (NetworkSource("resnet18"), True),
        (NetworkSource("resnet18", (3, 32, 32), 10), True),
        (NetworkSource("timm.resnet18"), True),
        (NetworkSource("darts_v2", (3, 224, 224), 1000, settings=IMAGENET), True),
        (NetworkSource("demonet", (3, 64, 64)), False),
        (NetworkSource("demonet", settings={"width": 2.0}), False),
        (NetworkSource("demonet", None, 10**6), False),
        (NetworkSource("resnet18", (3, 4096, 4096)), False),
        (NetworkSource("darts_v2", (3, 224, 224)), False),
        (NetworkSource("darts_14", settings={"stem": "cifar"}), False),
        (NetworkSource("timm.resnet18", (3, 1024, 1024)), False),
    ],
)  # fmt: skip
def test_a_link_opens_in_one_step_what_is_no_larger_than_the_catalog_lists(
    source: NetworkSource, is_one_step: bool
) -> None:
    assert is_modest(source) is is_one_step
