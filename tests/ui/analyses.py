"""Networks that a visitor has open, without a child process."""

from __future__ import annotations

from functools import lru_cache

import torch

from nasviz import jobs
from nasviz.catalog import NetworkSource
from nasviz.graph import search_space
from nasviz.trace import trace
from nasviz.ui.session import Analysis
from tests.mixed_network import Mixed

__all__ = ["mixed"]


@lru_cache(maxsize=1)
def mixed() -> Analysis:
    """A network with a module to collapse, a gate, and operations without variables."""
    torch.manual_seed(0)
    network = trace(Mixed(), torch.zeros(2, 1, 8, 8))
    return Analysis(
        NetworkSource("demonet"),
        jobs.Analysis(space=search_space(network), rung="", seconds=0.0),
        key="mixed",
    )
