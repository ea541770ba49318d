"""Width search as a run: scores, pruning with its table, tuning, the sub-network; resumed to the bit."""

from __future__ import annotations

from typing import Any

import pytest

from nasviz.errors import InvalidSettingError
from nasviz.runs import RunSettings, Store
from nasviz.train import open_session, train, work
from tests.train.conftest import short_settings
from tests.train.resuming import ended_straight_and_resumed


def settings(**changes: Any) -> RunSettings:
    chosen = {"optimizer": "rarts_width", "projection_steps": 6}
    return short_settings(**chosen | {"lr": 0.05, "fraction": 0.5} | changes)


def test_a_run_scores_prunes_tunes_and_constructs(tmp_path) -> None:
    run = Store(tmp_path).create(settings())
    assert work(run) == "done"
    result, tail = run.end.result, run.tail()
    assert set(tail.steps.phase[:6]) == {"projection"}
    assert set(tail.steps.phase[6:]) == {"training"}
    rows = result["pruning"]["thresholds"]
    assert [row["threshold"] for row in rows] == [0.2, 0.4, 0.5, 0.6, 0.8]
    assert [row["pruned"] for row in rows] == sorted(row["pruned"] for row in rows)
    assert result["survivors"] == result["pruning"]["groups"] - rows[2]["pruned"]
    assert result["params_after"] < result["params_before"]
    assert result["accuracy_subnet"] == result["accuracy_full"]
    words = [event.text for event in tail.events]
    assert any("channels to be scored" in text for text in words)
    assert any("channel groups go, most in" in text for text in words)


@pytest.mark.parametrize("pause", [3, 6, 8])
def test_it_resumes_to_the_bit(tmp_path, pause: int) -> None:
    straight, resumed = ended_straight_and_resumed(settings(), pause, tmp_path)
    assert resumed.optimizer.channels == straight.optimizer.channels


@pytest.mark.parametrize("search", ["darts_second", "random"])
def test_the_rivals_of_table_4_2_run_and_resume_to_the_bit(tmp_path, search: str) -> None:
    chosen = settings(search=search, epochs=1, projection_steps=3, distillation=0.5)
    straight, resumed = ended_straight_and_resumed(chosen, 2, tmp_path)
    assert resumed.optimizer.channels == straight.optimizer.channels
    assert len(straight.optimizer.channels) == len(straight.optimizer.channel_scores.home) // 2
    with pytest.raises(InvalidSettingError, match="coupling"):
        settings(search=search, coupling=2.0)
    with pytest.raises(InvalidSettingError, match="fraction"):
        settings(search="random", fraction=0.0)


def test_tuning_adds_the_distillation_from_the_network_before_pruning() -> None:
    found = {}
    for weight in (0.0, 1.0, 2.0):
        session = open_session(settings(distillation=weight))
        found[weight] = [float(record.loss) for record in train(session)]
    assert found[0.0][:6] == found[1.0][:6]  # the search knows nothing of it
    once, twice = found[1.0][6] - found[0.0][6], found[2.0][6] - found[0.0][6]
    assert once > 0
    assert twice == pytest.approx(2 * once, rel=1e-3)


def test_settings_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InvalidSettingError, match="RARTS width search has no setting 'target_sparsity'"):
        settings(target_sparsity=2)
    with pytest.raises(InvalidSettingError, match="SiDT has no setting 'groups'"):
        settings(optimizer="sidt", groups="filters")
    with pytest.raises(InvalidSettingError, match="fraction"):
        settings(fraction=1.0)
