"""GSparsity as a run: search, pruning with its table, training on, the sub-network; resumed to the bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nasviz.draw.live_frame import live_frame
from nasviz.draw.run_figures import run_figures
from nasviz.errors import InvalidSettingError
from nasviz.runs import RunSettings, Store
from nasviz.runs.records import column
from nasviz.train import open_session, train, work
from tests.train.conftest import short_settings
from tests.train.resuming import ended_straight_and_resumed


def settings(**changes: Any) -> RunSettings:
    chosen = {"optimizer": "gsparsity", "projection_steps": 14}
    return short_settings(**chosen | {"lr": 0.9, "mu": 2.0, "lr_schedule": "constant"} | changes)


def test_a_run_searches_prunes_trains_on_and_constructs(tmp_path) -> None:
    run = Store(tmp_path).create(settings())
    assert work(run) == "done"
    result, tail = run.end.result, run.tail()
    assert set(tail.steps.phase[:14]) == {"projection"}
    assert set(tail.steps.phase[14:]) == {"training"}
    rows = result["pruning"]["thresholds"]
    assert [row["threshold"] for row in rows] == [1e-6, 1e-3, 0.5]
    assert [row["pruned"] for row in rows] == sorted(row["pruned"] for row in rows)
    assert rows[0]["pruned"] <= result["pruning"]["chosen"]["pruned"] == len(result["selected"])
    assert set(result["zeroed_by"].values()) <= {"group sparsity"}
    if result["is_valid"]:
        assert result["accuracy_subnet"] == result["accuracy_full"]
    assert any("the search ended with accuracy" in event.text for event in tail.events)


def test_nothing_goes_without_a_penalty(tmp_path) -> None:
    run = Store(tmp_path).create(settings(mu=0.0, lr=0.05, epochs=1, projection_steps=3))
    assert work(run) == "done"
    assert run.end.result["selected"] == []
    rows = run.end.result["pruning"]["thresholds"]
    assert rows[0]["accuracy"] == rows[1]["accuracy"] == run.end.result["pruning"]["accuracy"]


@pytest.mark.parametrize("pause", [5, 14, 17])
def test_it_resumes_to_the_bit(tmp_path, pause: int) -> None:
    straight, resumed = ended_straight_and_resumed(settings(), pause, tmp_path)
    assert resumed.optimizer.selected == straight.optimizer.selected


RIVALS = (
    {"update": "subgradient", "mu": 3.0, "threshold": 2.0},
    {"update": "hard_threshold", "mu": 20.0},
    {"groups": "switches", "update": "soft_threshold", "mu": 20.0},
    {"groups": "switches", "update": "subgradient", "threshold": 0.6},
    {"groups": "switches"},
)


@pytest.mark.parametrize(
    "changes", RIVALS, ids=lambda one: "-".join(v for v in one.values() if isinstance(v, str))
)
def test_its_rivals_run_prune_change_over_and_resume_to_the_bit(tmp_path, changes: dict[str, Any]) -> None:
    chosen = settings(**{"lr": 0.5, "mu": 1.0, "epochs": 1, "projection_steps": 6} | changes)
    _, resumed = ended_straight_and_resumed(chosen, 4, tmp_path)
    assert resumed.optimizer.pruned, "something goes"
    run = Store(tmp_path).create(chosen.changed(change_over="auto"))
    assert work(run) == "done"
    assert run.end.result["pruning"]["chosen"]["pruned"] == len(run.end.result["selected"]) > 0


def test_the_penalty_is_on_record_as_it_was_before_each_step(tmp_path) -> None:
    chosen = settings(lr=0.5, mu=0.3, epochs=1, projection_steps=4)
    session, wanted = open_session(chosen), []
    steps = train(session)
    for _ in range(4):
        lengths = session.optimizer.norm_vector()
        wanted.append(0.3 * float(lengths.sum()))
        next(steps)
    steps.close()
    run = Store(tmp_path).create(chosen)
    assert work(run) == "done"
    found = run.tail().steps
    assert found.penalty[:4].tolist() == pytest.approx(wanted, rel=1e-6)
    assert np.isnan(found.penalty[4:]).all(), "nothing is added after the search"
    assert column(found, "objective")[:4].tolist() == pytest.approx((found.loss[:4] + wanted).tolist())
    assert "Objective and penalty" in run_figures(run)
    curves = {curve["name"]: curve["points"] for curve in live_frame(run.tail()).curves}
    assert [value for _, value in curves["penalty"]] == pytest.approx(wanted, rel=1e-4)


def test_cells_are_for_optimizers_that_tie() -> None:
    with pytest.raises(
        InvalidSettingError, match=r"H2SPG has no setting 'cells' \(available for: gsparsity\)"
    ):
        short_settings(cells=("Cell",))
    with pytest.raises(InvalidSettingError, match="GSparsity has no setting 'target_sparsity'"):
        settings(target_sparsity=2)
    assert RunSettings.from_json(settings(cells=("Cell",)).to_json()) == settings(cells=["Cell"])


def test_its_search_takes_six_tenths_of_the_steps_unless_told_otherwise() -> None:
    schedule = settings(projection_steps=0.6, epochs=4).schedule(1280)
    assert (schedule.warmup_steps, schedule.projection_steps, schedule.total_steps) == (0, 24, 40)


def test_lengths_are_on_record_while_it_searches_and_what_died_is_told(tmp_path) -> None:
    run = Store(tmp_path).create(settings(threshold=1e6, mu=1.0))
    assert work(run) == "done"
    tail = run.tail()
    assert (tail.scores.steps == tail.norms.steps).all()
    assert (tail.scores.values == tail.norms.values).all()
    told = sorted(event.structure for event in tail.events if event.kind == "redundant")
    assert told == sorted(run.end.result["selected"]) == sorted(tail.scores.structures)
    assert run.end.result["outcome"] == "invalid: no path left"
    assert "6 structures under a penalty" in tail.events[0].text
