"""GSparsity for filters as a run: search, pruning with its table, exact construction; resumed to the bit."""

from __future__ import annotations

from typing import Any

import pytest

from nasviz.errors import InvalidSettingError
from nasviz.runs import RunSettings, Store
from nasviz.train import open_session, train, work
from tests.train.conftest import short_settings
from tests.train.resuming import ended_straight_and_resumed


def settings(**changes: Any) -> RunSettings:
    chosen = {"optimizer": "gsparsity", "projection_steps": 14}
    own = {"groups": "filters", "lr": 0.9, "mu": 0.5, "lr_schedule": "constant"}
    return short_settings(**chosen | own | changes)


def test_a_run_prunes_filters_without_a_change_of_outputs(tmp_path) -> None:
    run = Store(tmp_path).create(settings())
    assert work(run) == "done"
    result = run.end.result
    rows = result["pruning"]["thresholds"]
    assert 0 < rows[0]["pruned"] < result["pruning"]["groups"]
    assert rows[0]["accuracy"] == rows[1]["accuracy"] == result["pruning"]["accuracy"]
    assert result["selected"] == []
    assert result["params_after"] < result["params_before"]
    assert result["accuracy_subnet"] == result["accuracy_full"]
    assert result["max_relative_error"] < 1e-4
    words = [event.text for event in run.tail().events]
    assert any("channel groups under a penalty" in text for text in words)
    assert any("channel groups go, most in" in text for text in words)


@pytest.mark.parametrize("pause", [5, 14, 17])
def test_it_resumes_to_the_bit(tmp_path, pause: int) -> None:
    straight, resumed = ended_straight_and_resumed(
        settings(adaptive=True, normalisation="div"), pause, tmp_path
    )
    assert resumed.optimizer.channels == straight.optimizer.channels


def test_more_penalty_on_some_modules_kills_more_of_their_filters() -> None:
    def dead(**changes: Any) -> int:
        session = open_session(settings(mu=0.1, pruning="threshold", **changes))
        for _ in train(session):
            pass
        narrowed = session.space.channels.narrowed(session.optimizer.channels)
        return sum(len(rows) for vertex, rows in narrowed.items() if vertex == "conv2")

    assert dead(emphasis=("conv2=4",)) > dead()


def test_settings_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InvalidSettingError, match=r"cells=.*groups is 'filters'"):
        settings(cells=("Cell",))
    with pytest.raises(InvalidSettingError, match=r"emphasis=.*groups is 'operations'"):
        settings(groups="operations", emphasis=("conv2=2",))
    with pytest.raises(InvalidSettingError, match="NAME=FACTOR"):
        settings(emphasis=("conv2",))
    assert settings(emphasis=("layer2=2", "layer3=2")).method.multipliers == {"layer2": 2.0, "layer3": 2.0}
