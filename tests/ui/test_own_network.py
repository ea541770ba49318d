"""A network of one's own: its form answers at once, and no page takes another network's run for it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from nasviz import jobs
from nasviz.catalog import NetworkSource
from nasviz.runs import RunSettings, RunSummary
from nasviz.ui import session
from nasviz.ui.options import options
from nasviz.ui.parts import subnetworks
from nasviz.ui.serving import SCRIPT
from tests.ui import analyses


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppTest]:
    monkeypatch.setattr(jobs, "warm_up", lambda: None)
    monkeypatch.setattr(sys, "argv", ["app.py", "--runs", str(tmp_path / "runs"), "--trust", str(tmp_path)])
    options.cache_clear()
    app = AppTest.from_file(str(SCRIPT), default_timeout=60)
    app.session_state["nasviz"] = session.Session(NetworkSource("demonet"), analysis=analyses.mixed())
    yield app
    options.cache_clear()


@pytest.mark.parametrize("name", ["", "TinyRes", "tiny.py"])
def test_open_is_never_out_of_reach_and_says_how_a_callable_is_named(app: AppTest, name: str) -> None:
    app.run().switch_page("pages/Model.py").run()
    app.segmented_control[0].set_value("Your Python code").run()
    app.text_input(key="own.name").set_value(name)
    assert not app.button(key="own.open").disabled
    app.button(key="own.open").click().run()
    assert not app.exception
    assert any("`my_model:MyNet`" in error.value for error in app.error)


def test_without_a_trusted_folder_the_way_to_one_is_told(
    app: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", sys.argv[:3])
    options.cache_clear()
    app.run().switch_page("pages/Model.py").run()
    app.segmented_control[0].set_value("Your Python code").run()
    assert not app.exception
    assert any(code.value.endswith("--trust FOLDER") for code in app.code)
    assert not [button for button in app.button if button.key == "own.open"]


def choosing() -> None:
    import streamlit as st

    from nasviz.ui.parts import subnetworks

    st.session_state["chosen"] = subnetworks.choose_run(st.session_state["runs"], "test")


@pytest.mark.parametrize(("opened", "chosen"), [("demonet", "b"), ("stacked_unets", "a")])
def test_the_first_run_of_the_network_that_is_open_is_offered_first(
    monkeypatch: pytest.MonkeyPatch, opened: str, chosen: str
) -> None:
    monkeypatch.setattr(subnetworks.address, "write_link", lambda: None)
    small = replace(NetworkSource("demonet"), settings=(("width", 0.1),))
    runs = [
        RunSummary(name, "done", 0.0, RunSettings.of(network=source, target_sparsity=1))
        for name, source in (("a", small), ("b", NetworkSource("demonet")))
    ]
    app = AppTest.from_function(choosing)
    app.session_state["runs"] = runs
    app.session_state["nasviz"] = session.Session(NetworkSource(opened))
    app.run()
    assert not app.exception
    assert app.session_state["chosen"] == chosen
    assert [
        info.value.startswith("The current network, StackedUnets, has no finished run") for info in app.info
    ] == ([True] if opened == "stacked_unets" else [])
