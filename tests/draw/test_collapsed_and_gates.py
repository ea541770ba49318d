"""Collapsed modules and gates are told apart from everything else, in shape and in words."""

from __future__ import annotations

from functools import lru_cache

import torch

from nasviz.draw import plan_overlay, segment_view
from nasviz.draw.report import subnetwork_report
from nasviz.graph import SearchSpace, search_space
from nasviz.trace import trace
from tests.mixed_network import Mixed


@lru_cache(maxsize=1)
def space(*collapse: str) -> SearchSpace:
    return search_space(trace(Mixed(), torch.zeros(2, 1, 8, 8)), collapse=collapse)


def test_a_collapsed_module_is_a_box_with_corners_that_says_its_class() -> None:
    view = segment_view(space("FactorizedReduce"))
    (drawn,) = [v for v in view.drawing.vertices if v.form == "whole"]
    assert (drawn.role, drawn.lines) == (
        "removable",
        ("▣ reduce", "FactorizedReduce, 4 ops · 80", "structure 1"),
    )
    record = view.records[view.drawing.vertices.index(drawn)]
    assert ("Collapsed", "reduce (FactorizedReduce)") in record.fields
    assert record.row["kind"] == "structure"


def test_modules_collapsed_one_behind_the_other_are_named_in_one_segment() -> None:
    net = torch.nn.Sequential(
        *(torch.nn.Sequential(torch.nn.Conv2d(1, 1, 1), torch.nn.ReLU()) for _ in range(2))
    )
    chain = search_space(trace(net, torch.zeros(2, 1, 4, 4)), collapse=["Sequential"])
    (drawn,) = [v for v in segment_view(chain).drawing.vertices if v.form == "whole"]
    assert drawn.lines == ("▣ 0 · ▣ 1", "2 stems · 4")


def test_a_gate_has_a_look_and_a_kind_of_its_own() -> None:
    view = segment_view(space("FactorizedReduce"))
    (drawn,) = [v for v in view.drawing.vertices if v.role == "gate"]
    assert drawn.lines[-1] == "gate 8, at zero 0.5"
    row = view.records[view.drawing.vertices.index(drawn)].row
    assert row["kind"] == "gate"
    assert str(row["removal"]).endswith("as a gate it may be replaced by its value at zero, 0.5")
    assert ("gate", "gate: replaceable by a constant") in view.legend


def test_a_plan_with_a_gate_says_what_becomes_of_it_and_of_what_it_scales() -> None:
    found = space("FactorizedReduce")
    view = segment_view(found)
    (gate,) = found.gates
    overlay = plan_overlay(view, found.plan((), [gate.id]))
    notes = {view.by_id[key].key: text for key, text in overlay.notes.items()}
    product = str(found.segments.of(gate.product).id)
    assert notes == {
        str(gate.id): "replaced by its value at zero",
        product: "its gate is replaced by 0.5",
    }
    html = subnetwork_report("mixed", found, found.plan((), [gate.id]))
    assert "gate: replaced by its value at zero, 0.5" in html
