"""SparseNAS as a run: a penalty that rises, exact zeros, the network that they leave; resumed to the bit."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import torch

from nasviz import subnet
from nasviz.errors import DeadNetworkError, InvalidSettingError
from nasviz.graph import SearchSpace
from nasviz.nas import derived_sparse
from nasviz.runs import RunSettings, Store
from nasviz.train import open_session, train, work
from nasviz.train.checkpoint import restore, save
from tests.train.conftest import short_settings
from tests.train.resuming import ended_straight_and_resumed


def settings(**changes: Any) -> RunSettings:
    """20 steps: 2 with the architecture at rest, then lambda 0, 0.1, 0.2 and 0.25."""
    usual = {"optimizer": "sparsenas", "warmup_steps": 2}
    usual |= {"architecture_lr": 0.1, "penalty_step": 0.1, "penalty_cap": 0.25, "balance": 1.0}
    usual |= {"epochs": 4, "target_zeros": 0.0}
    return short_settings(**(usual | changes))


def test_what_became_zero_goes_and_nothing_is_lost_by_it(store: Store) -> None:
    run = store.create(settings())
    assert work(run) == "done"
    result, tail = run.end.result, run.tail()
    found = result["sparsity"]
    assert 0 < found["zero_paths"] <= found["num_paths"] == 6
    assert found["num_nodes"] == 3
    assert 0 < len(result["selected"]) <= found["zero_paths"]
    if len(result["selected"]) == found["zero_paths"]:  # nothing had to come back
        assert result["accuracy_subnet"] == result["accuracy_full"]
    assert result["max_relative_error"] < 1e-5
    assert result["params_after"] < result["params_before"]
    assert tail.steps.zero_groups[-1] == found["zero_paths"]
    space = SearchSpace.from_json(json.loads((run.folder / "space.json").read_text()))
    assert space.plan(result["selected"]).selected == tuple(result["selected"])
    module = subnet.load(run.folder / "subnet")
    assert sum(p.numel() for p in module.parameters()) == result["params_after"]


def test_lambda_rises_with_the_epochs_up_to_its_cap() -> None:
    records = list(train(open_session(settings())))
    session = open_session(settings())
    group = session.optimizer.sparse.param_groups[0]
    switches = session.optimizer.sparse.grouping.tensors
    seen, sizes = [], []
    steps = train(session)
    for record in records:
        sizes.append(float(sum(tensor.detach().abs().sum() for tensor in switches)))  # balance = 1: the lasso
        assert float(next(steps).loss) == float(record.loss)
        seen.append((record.phase, group["strength"]))
    penalties = [float(record.penalty) for record in records]
    assert penalties[2:] == pytest.approx([s * size for (_, s), size in zip(seen, sizes, strict=True)][2:])
    assert all(map(math.isnan, penalties[:2])), "warm-up"
    rises = [strength for phase, strength in seen if phase == "search"]
    assert seen[:2] == [("warm-up", 0.0)] * 2
    assert rises == sorted(rises)
    assert set(rises) == {0.0, 0.1, 0.2, 0.25}
    assert rises[5] == 0.1


@pytest.mark.parametrize(
    "changes",
    [{}, {"order": "second"}, {"adaptive": False, "penalty_step": 1.0, "penalty_cap": 2.0}],
    ids=["first order", "second order", "constant rate"],
)
def test_it_goes_on_to_the_bit(store: Store, changes: dict[str, Any]) -> None:
    run = store.create(settings(**changes, epochs=3))
    session = open_session(run.settings)
    steps = train(session)
    for _ in range(7):
        next(steps)
    save(session, run.folder)
    expected = [float(record.loss) for record in steps]
    again = open_session(run.settings)
    assert restore(again, run.folder)
    assert [float(record.loss) for record in train(again)] == expected
    states = session.network.state_dict(), again.network.state_dict()
    assert all(torch.equal(a, b) for a, b in zip(*(s.values() for s in states), strict=True))


def test_what_must_stay_comes_back_at_full_weight() -> None:
    session = open_session(settings())
    sparse = session.optimizer.sparse
    for _, _record in zip(range(3), train(session), strict=False):
        pass
    for tensor in sparse.proximal_point():
        tensor.zero_()
    assert session.optimizer.sparsity.zero_nodes == 3
    derived = derived_sparse(session.network, session.space, session.optimizer)
    assert derived.derivation.spared
    assert len(derived.erased) == derived.space.max_sparsity
    assert derived.space.is_valid(derived.erased)


def test_the_target_ends_the_search_and_training_goes_on_without_a_penalty(store: Store) -> None:
    run = store.create(settings(target_zeros=0.3, epochs=6, search_steps=26, penalty_step=0.2))
    assert work(run) == "done"
    result, tail = run.end.result, run.tail()
    ended = result["sparsity"]["ended_at"]
    phases = tail.steps.phase.tolist()
    assert phases == ["warm-up"] * 2 + ["search"] * (ended - 2) + ["training"] * (30 - ended)
    assert 2 < ended < 28
    # The first step with 0.3 * 6 zeros or more ended it, and none came back.
    zeros = tail.steps.zero_groups.tolist()
    assert zeros[ended - 2] < 2 <= zeros[ended - 1] == result["sparsity"]["zero_paths"]
    assert len(set(zeros[ended - 1 :])) == 1
    assert result["accuracy_full"] == pytest.approx(result["accuracy_subnet"])
    rows = tail.facts["penalty"]
    assert [row[1] for row in rows] == [0.0, 0.2, 0.0]
    assert [row[0] for row in rows[1:]] == [ended - 1, ended]
    assert any("the search ended: 2 of 6" in e.text for e in tail.events)


def test_what_the_penalty_leaves_is_completed_by_the_smallest_weights_and_said(store: Store) -> None:
    run = store.create(settings(target_zeros=0.5, epochs=2, search_steps=4, penalty_step=0.0))
    assert work(run) == "done"
    warnings = [event.text for event in run.tail().events if event.kind == "warning"]
    assert any("the 3 of smallest weight were set to zero" in text for text in warnings)
    assert run.tail().steps.phase.tolist() == ["warm-up"] * 2 + ["search"] * 4 + ["training"] * 4
    found = run.end.result["sparsity"]
    assert (found["zero_paths"], found["by_weight"], found["ended_at"]) == (3, 3, 6)
    assert len(run.end.result["selected"]) == 3
    assert run.end.result["accuracy_full"] == run.end.result["accuracy_subnet"]


def test_a_node_that_dies_is_named_and_a_network_that_dies_stops_the_run(store: Store) -> None:
    run = store.create(settings(penalty_step=0.4, penalty_cap=1.0))
    with pytest.raises(DeadNetworkError, match="lower penalty_step"):
        work(run)
    assert (run.state, len(run.tail().steps) < 20) == ("failed", True)
    assert "silenced all paths to an output" in run.end.error
    named = [event.text for event in run.tail().events if "has died" in event.text]
    assert len(named) >= 1
    assert len(set(named)) == len(named)


@pytest.mark.parametrize("pause", [5, 12])
def test_a_run_with_a_target_goes_on_to_the_bit(store: Store, pause: int) -> None:
    asked = settings(target_zeros=0.3, epochs=4, search_steps=16, penalty_step=0.2)
    straight, resumed = ended_straight_and_resumed(asked, pause, store.folder)
    assert straight.optimizer.ended_at == resumed.optimizer.ended_at
    assert straight.optimizer.history == resumed.optimizer.history


def test_its_settings_belong_to_it_alone() -> None:
    with pytest.raises(InvalidSettingError, match="DARTS has no setting 'balance'"):
        short_settings(optimizer="darts", warmup_steps=2, balance=1.0)
    with pytest.raises(InvalidSettingError, match="penalty_step"):
        settings(penalty_step=-1.0)
    assert RunSettings.from_json(settings().to_json()) == settings()
