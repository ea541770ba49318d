"""Frozen parameters in the form of a run: the choice decides what can be removed and what the run gets."""

from __future__ import annotations

from dataclasses import replace

from streamlit.testing.v1 import AppTest

from nasviz.graph import search_space
from nasviz.settings import RunSettings
from nasviz.ui import session
from tests.ui import analyses


def page() -> None:
    import streamlit as st

    from nasviz.settings import RunSettings
    from nasviz.ui import session
    from nasviz.ui.parts import controls
    from tests.ui.test_frozen import frozen_analysis

    session.current().analysis = frozen_analysis()
    controls.ask(RunSettings.fields()["frozen"], "frozen")
    space = session.space()
    st.write(f"{len(space.removable)} removable")
    st.session_state["settings"] = session.space_settings(space)


def frozen_analysis() -> session.Analysis:
    """A network of which one structure is frozen."""
    found = analyses.mixed()
    first = found.space.removable[0]
    name = found.space.trace[first.vertices[0]].parameters[0]
    trace = replace(found.space.trace, frozen=(name,))
    return replace(found, result=found.result.model_copy(update={"space": search_space(trace)}))


def test_the_choice_changes_the_space_and_the_settings_of_the_run() -> None:
    app = AppTest.from_function(page).run(timeout=60)
    assert not app.exception
    before = len(analyses.mixed().space.removable)
    assert app.markdown[0].value == f"{before - 1} removable"
    app.selectbox[0].select("removable").run()
    assert app.markdown[0].value == f"{before} removable"
    settings = RunSettings.of(network="demonet", **app.session_state["settings"])
    assert settings.frozen == "removable"
    assert RunSettings.from_json(settings.to_json()) == settings
