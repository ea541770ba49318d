"""A run that another tab has deleted is named, and never replaced by another without a word."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from nasviz.catalog import NetworkSource
from nasviz.runs import RunSettings, Store
from nasviz.ui import session


def test_a_deleted_run_never_shows_another_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "runs")
    kept, gone = (store.create(RunSettings(network=NetworkSource("demonet"), seed=seed)) for seed in (0, 1))
    monkeypatch.setattr(session, "store", lambda: store)

    def script() -> None:
        import streamlit as st

        from nasviz.ui import session
        from nasviz.ui.parts import subnetworks

        if "opened" in st.session_state:
            session.current().run_id = st.session_state.pop("opened")
        st.session_state["chosen"] = None
        st.session_state["chosen"] = subnetworks.choose_run(session.store().list(), "k")

    app = AppTest.from_function(script)
    app.session_state["opened"] = gone.id
    app.run(timeout=60)
    assert app.session_state["chosen"] == gone.id

    store.delete(gone.id)
    app.run(timeout=60)
    assert app.session_state["chosen"] is None
    assert [gone.id in warning.value for warning in app.warning] == [True]

    app.button[0].click().run(timeout=60)
    assert app.session_state["chosen"] == kept.id
    assert not app.exception
