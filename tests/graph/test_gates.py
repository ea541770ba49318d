"""Gates: found only where one number can stand for them, and planned as a scaled product."""

from __future__ import annotations

import pytest

from nasviz.errors import UnknownVertexError
from nasviz.graph import TraceGraph, search_space
from tests.graph.networks import Sketch


def gated(last: str = "sigmoid") -> TraceGraph:
    s = Sketch("gated")
    stem = s.conv("stem", "x", 4)
    squeeze = s.conv("squeeze", stem, 4, 1)
    gate = s.sigmoid("gate", squeeze) if last == "sigmoid" else s.keep("gate", last, squeeze)
    return s.done(s.head(s.joint("product", "mul", s.conv("value", stem, 4), gate)))


def test_a_sigmoid_branch_is_a_gate_of_one_half() -> None:
    (gate,) = search_space(gated()).gates
    assert (gate.name, gate.product, gate.value) == ("squeeze-gate", "product", 0.5)
    assert gate.parameter_names == ("squeeze.weight", "squeeze.bias")


def test_a_branch_that_is_zero_at_zero_is_no_gate() -> None:
    assert search_space(gated("relu")).gates == ()


def test_a_gate_is_never_counted_nor_chosen_by_itself() -> None:
    space = search_space(gated())
    assert space.removable == ()
    assert space.max_sparsity == 0
    assert space.plan(()).scaled == {}


def test_replacing_a_gate_scales_the_product() -> None:
    space = search_space(gated())
    plan = space.plan((), gates=[space.gates[0].id])
    assert plan.scaled == {"product": 0.5}
    assert plan.bypassed == {"product": "value"}
    assert plan.erased == {"squeeze": "gate", "gate": "gate"}
    assert plan.params_before - plan.params_after == space.gates[0].num_parameters
    assert space.group((), gates=plan.gates).tensors == ("squeeze.weight", "squeeze.bias")
    with pytest.raises(UnknownVertexError, match="no gate 99"):
        space.plan((), gates=[99])


def test_the_reason_why_a_gate_stays_names_what_can_be_done_with_it() -> None:
    reason = search_space(gated()).why_not("squeeze")
    assert reason is not None
    assert "silence the other operand too: an output would be zero" in reason
    assert reason.endswith("as a gate it may be replaced by its value at zero, 0.5")


def test_a_protected_gate_stays() -> None:
    space = search_space(gated(), protect=["squeeze"])
    assert space.gates == ()
    assert "value at zero" not in (space.why_not("squeeze") or "")
