"""Accelerate: a loop that breaks and loads its state is the one that never broke."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from torch import nn
from torch.utils.data import DataLoader

from nasviz.runs import Store
from tests.integrations.conftest import BREAK, STEPS, Parts, require_equal

accelerate = pytest.importorskip("accelerate")


def train(parts: Parts, folder: Path, steps: int, *, resumes: bool = False) -> Any:
    from nasviz.integrations.accelerate import NasvizTracker

    tracker = NasvizTracker(parts.net, parts.space, parts.optimizer, runs=folder / "runs")
    accelerator = accelerate.Accelerator(cpu=True, log_with=[tracker], project_dir=folder)
    model, optimizer, loader = accelerator.prepare(
        parts.net, parts.optimizer, DataLoader(parts.data, batch_size=8)
    )
    accelerator.register_for_checkpointing(tracker)
    if resumes:
        accelerator.load_state(str(folder / "saved"))
    accelerator.init_trackers("any")
    done = parts.optimizer.num_steps
    while done < steps:
        for images, labels in loader:
            loss = nn.functional.cross_entropy(model(images), labels)
            accelerator.backward(loss)
            optimizer.step()
            optimizer.zero_grad()
            accelerator.log({"loss": loss.item(), "another": 1.0})
            done += 1
            if done == BREAK and not resumes:
                accelerator.save_state(str(folder / "saved"))
            if tracker.tracker.wants_stop or done == steps:
                break
    return accelerator


@pytest.mark.filterwarnings("ignore")
def test_a_loop_resumes_to_the_bit_in_one_run(traced: Any, expected: Parts, tmp_path: Path) -> None:
    accelerator = train(Parts(traced), tmp_path, BREAK + 2)
    accelerator.trackers[0].tracker.close()  # as the end of the process does
    (broken,) = Store(tmp_path / "runs").list()
    assert broken.state == "crashed"
    parts = Parts(traced)
    train(parts, tmp_path, STEPS, resumes=True).end_training()
    run = require_equal(parts, expected, tmp_path / "runs")
    assert 1 < float(run.tail().steps.loss.mean()) < 4
