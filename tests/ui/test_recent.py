from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from nasviz.catalog import NetworkSource
from nasviz.runs import RunSettings, Store
from nasviz.ui import session
from nasviz.ui.parts import recent


def test_what_was_open_and_what_was_trained_is_offered_once_and_not_what_is_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "store", lambda: Store(tmp_path))
    recent._trained.clear()
    narrow = NetworkSource("demonet", settings={"width": 0.25})
    for network in (narrow, NetworkSource("stacked_unets")):
        Store(tmp_path).create(RunSettings.of(network=network, target_sparsity=1))

    def script() -> None:
        import streamlit as st

        from nasviz.catalog import NetworkSource
        from nasviz.ui import session
        from nasviz.ui.parts import recent

        for network in ("stacked_unets", "mlp_digits", "demonet"):
            session.open_network(NetworkSource(network))
        st.session_state["found"] = [recent.name(source) for source in recent.sources()]
        recent.offer()

    app = AppTest.from_function(script).run(timeout=30)
    assert not app.exception
    found = app.session_state["found"]
    assert found[:2] == ["Perceptron for digits", "StackedUnets"]
    assert "DemoNet, width 0.25" in found
    assert "DemoNet" not in found
    assert len(found) == len(set(found))
    assert len(app.button) == len(found)


def test_a_network_is_named_with_all_that_is_its_own() -> None:
    source = NetworkSource("demonet", (3, 32, 32), 7, settings={"width": 0.5})
    assert recent.name(source) == "DemoNet, width 0.5, 3×32×32, 7 classes"
