"""Negative controls: a construction that does a little of it wrongly is refused, with the numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest

import nasviz
from nasviz.errors import ConstructionError
from nasviz.graph import SearchSpace
from tests.subnet.test_construct import small, traced, valid_sets


def test_a_wrong_column_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    net, space, _ = small()
    chosen = valid_sets(space)[0]
    plan = space.plan(chosen)
    shifted = [replace(s, rows=tuple(r + 1 for r in s.rows)) if s.dim == 1 else s for s in plan.slices]
    monkeypatch.setattr(SearchSpace, "plan", lambda *_: replace(plan, slices=tuple(shifted)))
    with pytest.raises(ConstructionError, match="differs from the network"):
        nasviz.construct(net, space, chosen)


def test_rows_of_norms_that_are_not_zeroed_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    net, space, _ = small()
    chosen = valid_sets(space)[0]
    group = space.group(chosen)
    monkeypatch.setattr(SearchSpace, "group", lambda *_: replace(group, rows=()))
    with pytest.raises(ConstructionError, match="differs from the network"):
        nasviz.construct(net, space, chosen)


def test_a_set_that_is_not_closed_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    net, space, _ = traced("orphan")
    chosen = next(c for c in valid_sets(space) if space.plan(c).orphaned)
    group = space.group(chosen)
    own = {name for i in chosen for name in space.structure(i).parameter_names}
    unclosed = replace(group, tensors=tuple(t for t in group.tensors if t in own))
    assert unclosed != group
    monkeypatch.setattr(SearchSpace, "group", lambda *_: unclosed)
    with pytest.raises(ConstructionError, match="differs from the network"):
        nasviz.construct(net, space, chosen)


def test_a_broken_promise_of_the_plan_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    net, space, _ = small()
    plan = space.plan(valid_sets(space)[0])
    monkeypatch.setattr(SearchSpace, "plan", lambda *_: replace(plan, params_after=plan.params_after + 1))
    with pytest.raises(ConstructionError, match="the plan predicts"):
        nasviz.construct(net, space, valid_sets(space)[0])
