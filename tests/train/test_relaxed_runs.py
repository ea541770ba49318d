"""Searches by architecture parameters as runs: recorded, resumed bit by bit, derived at their end."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch

from nasviz import subnet
from nasviz.data import load
from nasviz.errors import DataError, InvalidSettingError
from nasviz.graph import SearchSpace
from nasviz.runs import RunSettings, Store
from nasviz.train import Session, open_session, train, work
from nasviz.train.batches import paired_batches
from nasviz.train.checkpoint import restore, save
from nasviz.ui.parts import subnetworks
from tests.train.conftest import short_settings

CHANGES: list[dict[str, Any]] = [
    {"optimizer": "darts", "order": "second"},
    {"optimizer": "milenas", "validation_weight": 0.5},
    {"optimizer": "rarts", "latency_weight": 0.002},
]
IMAGES = load("digits", image_shape=(1, 8, 8)).train


def settings(**changes: Any) -> RunSettings:
    """10 steps: 2 with the architecture at rest, 8 of search."""
    usual = {"warmup_steps": 2, "architecture_lr": 0.05}
    return short_settings(**(usual | changes))


def losses(session: Session, num_steps: int) -> list[float]:
    return [float(record.loss) for _, record in zip(range(num_steps), train(session), strict=False)]


def test_a_search_is_recorded_and_ends_in_the_network_that_it_stands_for(store: Store) -> None:
    run = store.create(settings(optimizer="darts"))
    assert work(run) == "done"
    tail, result = run.tail(), run.end.result

    assert tail.steps.phase.tolist() == ["warm-up"] * 2 + ["search"] * 8
    assert tail.scores.steps.tolist() == list(range(10))
    weights = tail.scores.values
    np.testing.assert_array_equal(weights[0], weights[1])
    assert (weights[1] != weights[-1]).all()
    np.testing.assert_allclose(weights.sum(axis=1), 3, rtol=1e-5)  # three softmaxes of two operations each

    space = SearchSpace.from_json(json.loads((run.folder / "space.json").read_text()))
    searched = SearchSpace.from_json(json.loads((run.folder / "searched.json").read_text()))
    assert set(run.tail().scores.structures) <= {s.id for s in searched.structures}
    assert searched.switches
    assert space.plan(result["selected"]).selected == tuple(result["selected"])
    assert len(result["selected"]) == len(result["kept"]) == 3
    assert result["max_relative_error"] < 1e-5
    module = subnet.load(run.folder / "subnet")
    assert sum(p.numel() for p in module.parameters()) == result["params_after"] < result["params_before"]
    assert (
        subnetworks.of_run(run).plan.params_after == result["params_after"]
    )  # folded switches are not counted
    assert not any("switch" in name for name, _ in module.named_parameters())
    told = [e.structure for e in tail.events if e.kind == "redundant"]
    assert sorted(told) == result["selected"]


@pytest.mark.parametrize("changes", CHANGES, ids=lambda c: c["optimizer"])
def test_a_search_goes_on_bit_by_bit(store: Store, changes: dict[str, Any]) -> None:
    run = store.create(settings(**changes))
    session = open_session(run.settings)
    losses(session, 4)
    save(session, run.folder)
    expected = losses(session, 6)

    again = open_session(run.settings)
    assert restore(again, run.folder) == "checkpoint.pt"
    assert again.step == 4
    assert losses(again, 6) == expected
    states = session.network.state_dict(), again.network.state_dict()
    assert all(torch.equal(a, b) for a, b in zip(*(s.values() for s in states), strict=True))
    assert torch.equal(session.optimizer.score_vector, again.optimizer.score_vector)


def test_the_halves_share_no_image_and_stay_what_they_are() -> None:
    def seen(epoch: int, start: int = 0) -> list[list[torch.Tensor]]:
        pairs = list(paired_batches(IMAGES, seed=3, epoch=epoch, batch_size=100, start=start))
        return [[batch[half][0] for batch in pairs] for half in range(2)]

    first, second = seen(0)
    assert len(first) == len(second) == 7
    hashes = [{x.numpy().tobytes() for x in torch.cat(half)} for half in (first, second)]
    unique = len({x.numpy().tobytes() for x in IMAGES.batch(torch.arange(len(IMAGES)))[0]})
    assert len(hashes[0] & hashes[1]) <= len(IMAGES) - unique  # only images that are there twice
    assert not torch.equal(first[0], seen(1)[0][0])
    assert torch.equal(torch.cat(first[4:]), torch.cat(seen(0, start=4)[0]))


def test_one_image_has_no_halves() -> None:
    class One:
        def __len__(self) -> int:
            return 1

    with pytest.raises(DataError, match="1 training images"):
        next(paired_batches(One(), seed=0, epoch=0, batch_size=4))


def test_a_search_takes_no_k_and_no_settings_of_others() -> None:
    with pytest.raises(InvalidSettingError, match="DARTS has no setting 'target_sparsity'"):
        settings(optimizer="darts", target_sparsity=2)
    with pytest.raises(InvalidSettingError, match="coupling"):
        settings(optimizer="darts", coupling=1.0)
    with pytest.raises(InvalidSettingError, match="order"):
        settings(optimizer="darts", order="third")
