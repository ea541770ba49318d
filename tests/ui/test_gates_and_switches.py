"""Gates and operations without variables on the Segment graph page."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest

from nasviz.ui.parts import plans
from tests.ui import analyses


def page() -> AppTest:
    def script() -> None:
        from nasviz.ui import session
        from nasviz.ui.pages import segment_graph
        from tests.ui import analyses

        session.current().analysis = analyses.mixed()
        segment_graph.segment_graph()

    return AppTest.from_function(script).run(timeout=60)


def test_gates_and_switchable_operations_are_listed_with_what_they_are() -> None:
    app = page()
    assert not app.exception
    gates, operations = (table.value for table in app.dataframe[-2:])
    (gate,) = analyses.mixed().space.gates
    row = gates.iloc[0]
    assert (row["gate"], row["value at zero"], row["scales"]) == (gate.name, 0.5, "mul")
    assert row["saves parameters"] == gate.num_parameters
    assert list(operations["operation"]) == ["pool", "identity add_1 → add_2"]
    said = " ".join(caption.value for caption in app.caption)
    assert "Searches do not replace gates, and K does not count them" in said
    assert "Other searches do not count these operations in K" in said
    assert not [text for text in app.markdown if "With switches" in text.value]
    (toggle,) = (toggle for toggle in app.toggle if toggle.label == "Show K with switches")
    toggle.set_value(True).run()
    (counted,) = (text.value for text in app.markdown if "With switches" in text.value)
    space = analyses.mixed().space
    assert f"**{len(space.removable) + len(space.switchable)}** structures" in counted


def test_a_gate_can_be_tried_and_what_follows_is_told() -> None:
    app = page()
    (gate,) = analyses.mixed().space.gates
    (gates,) = (choice for choice in app.multiselect if choice.label.startswith("Gates to replace"))
    gates.select(gate.id).run()
    assert not app.exception
    assert app.session_state["nasviz"].gates == (gate.id,)
    said = [text.value for text in app.markdown]
    assert any("replaced by its value at zero, mul × 0.5" in text for text in said)
    saved = gate.num_parameters
    assert app.metric[0].help == f"{2078:,} → {2078 - saved:,}"


def test_a_gate_whose_product_goes_is_said_to_go_with_it() -> None:
    space = analyses.mixed().space
    (gate,) = space.gates
    mix = next(s.id for s in space.removable if s.name == "mix")
    assert plans.plan_of(space, [mix], [gate.id]).scaled == {}

    def script() -> None:
        from nasviz.ui.parts import plans
        from tests.ui import analyses

        space = analyses.mixed().space
        mix = next(s.id for s in space.removable if s.name == "mix")
        plans.plan_story(space, space.plan([mix], [space.gates[0].id]))

    (story,) = AppTest.from_function(script).run(timeout=60).markdown
    assert "erased with the value it scales" in story.value
