"""Weights drawn anew: nothing learnt is left, nothing else moves, and a seed repeats them."""

from __future__ import annotations

import torch
from torch import nn

import nasviz
from nasviz.catalog import NetworkSource
from nasviz.models import build, reset_
from nasviz.runs import RunSettings
from nasviz.train import open_session


class Tokens(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Parameter(torch.arange(24.0).view(4, 6))
        self.layer, self.norm = nn.Linear(6, 6), nn.BatchNorm1d(6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.layer(x + self.tokens[:1]))


def test_a_seed_repeats_the_weights_and_the_generator_stays() -> None:
    first, second = Tokens(), Tokens()
    before = torch.get_rng_state()
    reset_(first, 3)
    reset_(second, 3)
    assert torch.equal(torch.get_rng_state(), before)
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)
    reset_(second, 4)
    assert not torch.equal(first.layer.weight, second.layer.weight)


def test_statistics_are_forgotten_and_tokens_are_shuffled() -> None:
    model = Tokens()
    model.norm.running_mean.fill_(3.0)
    model.norm.weight.data.fill_(0.0)
    reset_(model, 0)
    assert not model.norm.running_mean.any()
    assert (model.norm.weight == 1).all()
    assert sorted(model.tokens.flatten().tolist()) == list(range(24))
    assert model.tokens.flatten().tolist() != list(range(24))


def test_a_run_trains_a_saved_subnetwork_from_new_weights(tmp_path) -> None:
    model, images = nasviz.zoo.create("demonet", width=0.1)
    net = nasviz.trace(model, images)
    space = nasviz.search_space(net)
    sub = nasviz.construct(net, space, erased=space.select({s.id: s.id for s in space.removable}, 2))
    nasviz.save(sub, tmp_path / "cut")
    source = NetworkSource("cut", subnet=str(tmp_path / "cut"))
    kept = dict(build(source)[0].named_parameters())
    sessions = [
        open_session(RunSettings.of(network=source, from_scratch=fresh, device="cpu"))
        for fresh in (False, True)
    ]
    for is_fresh, session in zip((False, True), sessions, strict=True):
        found = dict(session.network.named_parameters())
        assert {name: p.shape for name, p in found.items()} == {name: p.shape for name, p in kept.items()}
        weights = [name for name, p in kept.items() if p.dim() > 1]
        assert all(torch.equal(found[name], kept[name]) != is_fresh for name in weights)
