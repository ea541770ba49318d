"""What the documents name besides their methods, as options of runs: each does what it says."""

from typing import Any

import torch

from nasviz.catalog import NetworkSource
from nasviz.optim.search_optimizer import Training
from nasviz.saliency import score
from nasviz.train import Session, open_session, train
from tests.train.conftest import short_settings

NARROW = NetworkSource("demonet", input_shape=(1, 8, 8), settings={"width": 0.1})


def trained(steps: int, **changes: Any) -> Session:
    usual = {"network": NARROW, "epochs": 1, "warmup_steps": 3, "projection_steps": 4}
    session = open_session(short_settings(**usual | changes))
    for record in train(session):
        if record.step + 1 == steps:
            break
    return session


def test_a_proxy_ranks_the_structures_by_the_network_before_its_first_step() -> None:
    session = trained(5, saliency="zen")
    fresh = open_session(session.settings)
    draws = Training(seed=session.settings.seed).generator()
    scores = score("zen", fresh.network, fresh.space, [], draws)
    assert session.optimizer.scores == scores
    assert set(session.optimizer.selected) == set(fresh.space.select(scores, 3))
    by_training = trained(5, saliency="snip")
    assert by_training.optimizer.scores != scores


def test_omega_weighs_the_scores_of_the_past() -> None:
    def scores(steps: int, omega: float) -> dict[int, float]:
        return trained(steps, score_momentum=omega).optimizer.scores

    found = {omega: [scores(steps, omega) for steps in (1, 2)] for omega in (0.0, 0.5)}
    (first, last), (start, mixed) = found[0.0], found[0.5]
    assert first == start
    for structure, value in mixed.items():
        assert abs(value - (first[structure] + last[structure]) / 2) <= 1e-5 * abs(value)
    assert first != last


def test_the_pass_as_printed_may_end_below_k() -> None:
    chosen = {ahead: trained(4, target_sparsity=4, lookahead=ahead) for ahead in (True, False)}
    k = chosen[True].target_sparsity
    optimizer = chosen[False].optimizer
    assert len(chosen[True].optimizer.selected) == k
    assert len(optimizer.selected) <= k
    space = chosen[False].space
    assert set(optimizer.selected) == set(space.select(optimizer.scores, k, lookahead=False))


def test_otov3_as_printed_sets_nothing_to_zero_at_the_end() -> None:
    own = {"optimizer": "h2spg_otov3", "regularization": 1e-6, "target_sparsity": 2}
    forced, printed = (trained(8, forced=is_forced, **own) for is_forced in (True, False))
    assert len(forced.optimizer.selected) == len(printed.optimizer.selected) == 2
    assert (len(forced.optimizer.zeroed_by), forced.optimizer.phase) == (2, "training")
    assert (len(printed.optimizer.zeroed_by), printed.optimizer.phase) == (0, "projection")
    found = printed.optimizer.conclude(printed.network, printed.space)
    assert found.erased == (), "only what is zero goes"


def test_h2spg_removes_operations_without_variables_by_their_switches() -> None:
    source = NetworkSource("nas_bench_201", (3, 8, 8), settings={"channels": 2, "cells": 1})
    own = {"network": source, "batch_size": 256, "warmup_steps": 1, "projection_steps": 2}
    plain, switched = (trained(4, switches=s, target_sparsity=0.9, **own) for s in (False, True))
    names = {s.switch for s in switched.space.removable if s.switch}
    assert not any(s.switch for s in plain.space.removable)
    assert len(switched.space.removable) == len(plain.space.removable) + len(names)
    gone = {switched.space.structure(i).switch for i in switched.optimizer.zeroed_by} & names
    assert gone, "a high K takes some of them"
    parameters = dict(switched.network.named_parameters())
    assert not any(bool(parameters[name].any()) for name in gone)
    kept = torch.stack([parameters[name].detach().mean() for name in names - gone])
    assert bool((kept > 0.5).all()), "they start at 1"
