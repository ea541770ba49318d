"""The networks of the documents, traced, trained and constructed: the optimizer's zeros are the space's."""

from __future__ import annotations

import copy

import pytest
import torch

import nasviz
from nasviz.saliency import score


@pytest.mark.parametrize("base", ["sgd", "adamw"])
@pytest.mark.parametrize("name", ["demonet", "stacked_unets"])
def test_training_ends_exactly_where_projecting_to_zero_would(name, base):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model, inputs = nasviz.zoo.create(name)
        net = nasviz.trace(model, inputs)
    space = nasviz.search_space(net)
    generator = torch.Generator().manual_seed(0)
    shape = (4, *inputs[0].shape[1:])
    batches = [
        (torch.randn(shape, generator=generator), torch.randint(10, (4,), generator=generator))
        for _ in range(6)
    ]
    expected = score("snip", net, space, batches[:1])
    optimizer = nasviz.optim.create(
        "h2spg", net, space, base=base, lr=0.01, target_sparsity=3, warmup_steps=1, projection_steps=3
    )
    for x, y in batches:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(x), y).backward()
        optimizer.step()

    assert optimizer.scores == pytest.approx(expected, rel=1e-2, abs=1e-5)
    assert optimizer.selected == space.select(optimizer.scores, 3)
    trained = copy.deepcopy(net.state_dict())
    nasviz.project_to_zero_(net, space, optimizer.selected)
    assert all(torch.equal(value, trained[key]) for key, value in net.state_dict().items())
    sub = nasviz.construct(net, space)
    assert sub.report.max_relative_error < 1e-5
    assert set(sub.report.selected) == set(optimizer.selected)
