"""A run whose training was changed by tracing is refused before it begins, unless its settings allow it."""

from __future__ import annotations

from pathlib import Path

import pytest

from nasviz.catalog import NetworkSource
from nasviz.errors import InvalidSettingError
from nasviz.runs import RunSettings, Store
from nasviz.train.worker import work

CODE = """
import torch
from torch import nn


class Noisy(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.stem, self.branch = nn.Linear(64, 16), nn.Linear(16, 16)
        self.head = nn.Linear(16, num_classes)

    def forward(self, x):
        x = self.stem(x.flatten(1)).relu()
        if self.training:
            x = x + 0.1 * torch.randn_like(x)
        return self.head(x + self.branch(x).relu())


def net(num_classes=10):
    return Noisy(num_classes), torch.zeros(2, 1, 8, 8)
"""


@pytest.mark.parametrize("is_allowed", [False, True])
def test_a_run_with_changed_training_needs_leave(tmp_path: Path, is_allowed: bool) -> None:
    (tmp_path / "code").mkdir()
    name = f"noisy_{is_allowed}".lower()
    (tmp_path / "code" / f"{name}.py").write_text(CODE)
    source = NetworkSource(f"{name}:net", trust=(str(tmp_path / "code"),))
    run = Store(tmp_path / "runs").create(
        RunSettings(network=source, epochs=1, batch_size=512, device="cpu", allow_changed_training=is_allowed)
    )
    if not is_allowed:
        with pytest.raises(InvalidSettingError, match=r"draws random numbers.*--allow-changed-training"):
            work(run)
        assert run.state == "failed"
        return
    assert work(run) == "done"
    events = [event.text for event in run.tail().events if event.kind == "changed training"]
    assert len(events) == 1
    assert "draws random numbers" in events[0]
