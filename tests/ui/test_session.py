"""Addresses: what a link says comes back as the same network, run and choices."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from streamlit.testing.v1 import AppTest

from nasviz.catalog import NetworkSource, image_and_others, read_inputs
from nasviz.runs import RunSettings, Store
from nasviz.ui import address, session

ROOT = Path(__file__).parents[2]


def visit(**address: str) -> AppTest:
    """A visitor who opens an address; the script only reads it and writes it back."""

    def script() -> None:
        import streamlit as st

        from nasviz.ui import address

        address.read_link()
        address.write_link()
        st.session_state["link"] = address.link()

    app = AppTest.from_function(script)
    for name, value in address.items():
        app.query_params[name] = value
    return app.run(timeout=30)


@pytest.mark.parametrize(
    "address",
    [
        {"model": "demonet"},
        {"model": "resnet18", "input": "3x32x32", "classes": "10"},
        {"model": "demonet", "set.width": "0.25", "K": "2", "seed": "7", "optimizer": "h2spg"},
        {"model": "demonet", "vertex": "conv2", "view": "MACs"},
        {"model": "resnet18", "collapse": "BasicBlock,layer1.*", "protect": "2,10"},
    ],
)
def test_an_address_comes_back_as_it_went_in(address: dict[str, str]) -> None:
    app = visit(**address)
    assert app.session_state["link"] == address
    assert not app.exception


def test_inputs_of_an_own_network_stand_in_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(address, "options", lambda: SimpleNamespace(trust=("/somewhere",)))
    for text in ("N,1,24", "3,8,8", "N,3,8,8; mask=bool:N,24", "int64:N,16<1000"):
        shape, inputs = image_and_others(read_inputs(text))
        source = NetworkSource("m:f", shape, trust=("/somewhere",), inputs=inputs)
        assert address._source(address._source_link(source)) == source


def test_settings_are_read_as_numbers() -> None:
    state = visit(model="demonet", **{"set.width": "0.25"}).session_state["nasviz"]
    assert state.source == NetworkSource("demonet", settings={"width": 0.25})


@pytest.mark.parametrize(
    "address",
    [
        {"model": "demonnet"},
        {"model": "demonet", "input": "3x32"},
        {"model": "demonet", "input": "a"},
        {"model": "demonet", "classes": "many"},
        {"model": "demonet", "K": "-1"},
        {"model": "demonet", "protect": "conv2"},
        {"onnx": "../../etc/passwd"},
        {"model": "demonet", "set.width": "99"},
        {"model": "some.module:Net"},
    ],
)
def test_an_address_that_cannot_be_opened_leaves_demonet_and_a_notice(address: dict[str, str]) -> None:
    state = visit(**address).session_state["nasviz"]
    assert "cannot be opened" in state.notice
    assert state.source == NetworkSource("demonet")


def test_another_network_closes_the_run_and_forgets_what_was_marked() -> None:
    def script() -> None:
        from nasviz.catalog import NetworkSource
        from nasviz.ui import session

        state = session.current()
        state.run_id = "a-run"
        state.constraints = session.Constraints(("Block",), frozenset({2}), (1,), (3,))
        session.open_network(NetworkSource("resnet18"))

    state = AppTest.from_function(script).run(timeout=30).session_state["nasviz"]
    assert (state.run_id, state.constraints) == (None, session.Constraints())


def test_a_network_of_the_zoo_opens_with_its_operations_collapsed() -> None:
    def script() -> None:
        from nasviz.catalog import NetworkSource
        from nasviz.ui import session

        session.open_network(NetworkSource("darts_8"))
        collapsed = session.current().collapse
        session.open_network(NetworkSource("demonet"))
        assert (collapsed, session.current().collapse) == (("FactorizedReduce",), ())

    assert not AppTest.from_function(script).run(timeout=30).exception


def test_the_address_of_a_run_alone_opens_its_network_as_the_run_collapses_and_protects_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = RunSettings.of(NetworkSource("resnet18"), collapse=("BasicBlock",), protect=("id:3", "conv1"))
    store = Store(tmp_path)
    monkeypatch.setattr(session, "store", lambda: store)
    run = store.create(settings)
    state = visit(run=run.id).session_state["nasviz"]
    assert (state.source, state.run_id) == (settings.network, run.id)
    assert (state.collapse, state.protect) == (("BasicBlock",), frozenset({3}))


def test_what_is_collapsed_by_default_has_to_be_in_the_network() -> None:
    def script() -> None:
        import streamlit as st

        from nasviz.catalog import NetworkSource
        from nasviz.ui import session
        from tests.ui.analyses import mixed

        session.open_network(NetworkSource("recurrent_cell"))
        session.current().analysis = mixed()  # without such a module
        st.text(f"collapse {session.space().collapse}")

    app = AppTest.from_function(script).run(timeout=30)
    assert ([t.value for t in app.text], len(app.warning)) == (["collapse ()"], 0)
