"""Parameters that `fully_shard` has split up: refused where an optimizer is made, with what to do instead."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import distributed
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

import nasviz
from nasviz.errors import InvalidSettingError
from nasviz.optim import create, create_gsparsity
from tests.optim.ddp_child import Sums


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[None]:
    """A group of one process: enough for parameters to be DTensors."""
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'meeting'}", rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


def test_sharded_parameters_are_refused_and_whole_ones_are_not(alone: None) -> None:
    net = nasviz.trace(Sums(), torch.randn(2, 4))
    space = nasviz.search_space(net)
    steps = {"lr": 0.1, "target_sparsity": 1, "warmup_steps": 2, "projection_steps": 2}
    assert create("h2spg", net, space, **steps).phase == "warm-up"

    fully_shard(net, mesh=init_device_mesh("cpu", (1,)))
    words = re.escape("one of shape (6, 4) is a DTensor") + ".*Leave fully_shard out.*DistributedDataParallel"
    with pytest.raises(InvalidSettingError, match=r"(?i)h2spg was asked to train.*" + words):
        create("h2spg", net, space, **steps)
    with pytest.raises(InvalidSettingError, match=r"(?i)hspg was asked"):
        create("hspg", net, space, lr=0.1, warmup_steps=2)
    with pytest.raises(InvalidSettingError, match=r"(?i)gsparsity was asked"):
        create_gsparsity(net, space, lr=0.1, projection_steps=2)
