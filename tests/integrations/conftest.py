"""A narrow DemoNet on random images, and what a training with a break in it must come to."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

import nasviz
from nasviz.runs import Run, Store

STEPS, BREAK = 12, 6
"""All steps, and those before the checkpoint: in the middle of the projection."""


class BrokenError(Exception):
    """Ends a training between two checkpoints, as a crash does."""


class Parts:
    """One training: network, space and optimizer, always from the same weights."""

    def __init__(self, traced: tuple[Any, Any, TensorDataset]) -> None:
        self.net = copy.deepcopy(traced[0])
        self.space, self.data = traced[1], traced[2]
        phases = {"warmup_steps": 4, "projection_steps": 6}
        self.optimizer: Any = nasviz.optim.create(
            "h2spg", self.net, self.space, lr=0.05, momentum=0.9, target_sparsity=2, **phases
        )


@pytest.fixture(scope="session")
def traced() -> tuple[Any, Any, TensorDataset]:
    torch.manual_seed(0)
    net = nasviz.trace(*nasviz.zoo.create("demonet", input_shape=(1, 8, 8), width=0.1))
    data = TensorDataset(torch.randn(48, 1, 8, 8), torch.arange(48) % 10)
    return net, nasviz.search_space(net), data


@pytest.fixture
def expected(traced: Any) -> Parts:
    """The same training in a plain loop without a break; each framework must reach it to the bit."""
    parts = Parts(traced)
    images, labels = parts.data.tensors
    for step in range(STEPS):
        part = slice(8 * (step % 6), 8 * (step % 6) + 8)
        parts.optimizer.zero_grad()
        nn.functional.cross_entropy(parts.net(images[part]), labels[part]).backward()
        parts.optimizer.step()
    return parts


def require_equal(parts: Parts, expected: Parts, runs: Path) -> Run:
    """Check weights, selection and zeros to the bit, and that one run holds all steps."""
    named = zip(parts.net.named_parameters(), expected.net.parameters(), strict=True)
    assert [name for (name, mine), its in named if not torch.equal(mine, its)] == []
    assert parts.optimizer.selected == expected.optimizer.selected
    assert parts.optimizer.zeroed_by == expected.optimizer.zeroed_by
    assert len(parts.optimizer.selected) == 2
    (summary,) = Store(runs).list()
    run = Store(runs).open(summary.id)
    assert run.state == "done"
    assert run.tail().steps.step.tolist() == list(range(STEPS))
    assert [e.kind for e in run.tail().events].count("resume") == 1
    assert run.end.result["params_after"] < run.end.result["params_before"]
    return run
