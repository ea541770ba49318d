"""Collapsing on the Segment graph page: counts change, protection follows, one click leads back."""

from __future__ import annotations

from typing import Any

import pytest
from streamlit.testing.v1 import AppTest


def page() -> AppTest:
    def script() -> None:
        from nasviz.ui import session
        from nasviz.ui.parts import collapsing
        from tests.ui import analyses

        session.current().analysis = analyses.mixed()
        collapsing.collapsing(session.space())

    return AppTest.from_function(script).run(timeout=60)


def state_of(app: AppTest) -> Any:
    assert not app.exception
    return app.session_state["nasviz"]


def structures(app: AppTest) -> list[str]:
    return [s.name for s in state_of(app).guarded.removable]


def test_the_classes_of_the_network_are_offered_and_one_of_them_collapsed() -> None:
    app = page()
    (classes,) = app.multiselect
    assert classes.options == ["FactorizedReduce · 1 module", "Gate · 1 module"]
    assert not app.button
    before = structures(app)
    classes.select("FactorizedReduce").run()
    assert structures(app) == ["reduce", "plain", "mix"]
    assert "1 module is one vertex: segments 15 → **12** · structures 5 → **3**" in app.markdown[0].value
    app.button[0].click().run()
    assert structures(app) == before
    assert state_of(app).collapse == ()


@pytest.mark.parametrize("pattern", ["reduce", "red*", " re?uce ,gate"])
def test_a_pattern_collapses_and_is_kept_beside_the_classes(pattern: str) -> None:
    app = page()
    app.text_input[0].set_value(pattern).run()
    assert "reduce" in structures(app)
    names = state_of(app).collapse
    assert names == tuple(pattern.replace(",", " ").split())
    assert app.multiselect[0].value == list(names)
    app.multiselect[0].unselect(names[0]).run()
    assert state_of(app).collapse == names[1:]


def test_a_pattern_that_matches_nothing_is_told_and_changes_nothing() -> None:
    app = page()
    app.text_input[0].set_value("cells.*").run()
    assert "cannot collapse" in app.warning[0].value.lower()
    assert (state_of(app).collapse, state_of(app).before) == ((), ())


def test_what_is_protected_stays_protected_and_comes_back_as_it_was() -> None:
    app = page()
    state = state_of(app)
    ids = {s.name: s.id for s in state.guarded.structures}
    gate = state.guarded.gates[0].id
    state.protect, state.marked, state.gates = frozenset({ids["reduce.right"]}), (ids["mix"],), (gate,)
    before = state.constraints
    app.run()
    app.multiselect[0].select("FactorizedReduce").run()
    state, space = state_of(app), state_of(app).guarded
    assert [space.segments[i].name for i in state.protect] == ["reduce"]
    assert space.structure(next(iter(state.protect))).reason == "you protected it"
    assert [space.segments[i].name for i in state.marked] == ["mix"]
    assert [space.gate(i).product for i in state.gates] == ["mul"]
    assert (state.marked, state.gates) != (before.marked, before.gates)
    app.button[0].click().run()
    assert state_of(app).constraints == before


def test_an_address_that_asks_for_what_is_not_there_is_told_and_forgotten() -> None:
    app = page()
    state_of(app).collapse = ("BasicBlock",)
    app.run()
    assert "BasicBlock" in app.warning[0].value
    assert len(structures(app)) == 5
    assert state_of(app).collapse == ()
