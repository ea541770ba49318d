"""Hugging Face Trainer: a training that breaks and resumes is the one that never broke."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from nasviz.errors import InvalidSettingError
from tests.integrations.conftest import BREAK, STEPS, BrokenError, Parts, require_equal

transformers = pytest.importorskip("transformers")
pytest.importorskip("accelerate")


class Model(nn.Module):
    """A network as the Trainer calls it."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, pixels: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        scores = self.net(pixels)
        return {"loss": nn.functional.cross_entropy(scores, labels), "scores": scores}


class Break(transformers.TrainerCallback):
    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == BREAK + 2:
            raise BrokenError


def trainer_of(parts: Parts, folder: Path, *more: Any) -> tuple[Any, Any]:
    from nasviz.integrations.transformers import NasvizCallback

    callback = NasvizCallback(parts.net, parts.space, runs=folder / "runs")
    images, labels = parts.data.tensors
    trainer = transformers.Trainer(
        Model(parts.net),
        transformers.TrainingArguments(
            output_dir=str(folder / "saved"),
            max_steps=STEPS,
            per_device_train_batch_size=8,
            per_device_eval_batch_size=48,
            save_steps=BREAK,
            eval_strategy="steps",
            eval_steps=BREAK,
            logging_steps=1,
            max_grad_norm=0.0,
            use_cpu=True,
            report_to=[],
            disable_tqdm=True,
            train_sampling_strategy="sequential",
        ),
        train_dataset=[{"pixels": x, "labels": y} for x, y in zip(images, labels, strict=True)],
        eval_dataset=[{"pixels": x, "labels": y} for x, y in zip(images, labels, strict=True)],
        optimizers=(parts.optimizer, torch.optim.lr_scheduler.LambdaLR(parts.optimizer, lambda step: 1.0)),
        compute_metrics=lambda found: {"accuracy": float((found[0].argmax(1) == found[1]).mean())},
        callbacks=[callback, *more],
    )
    return trainer, callback


@pytest.mark.filterwarnings("ignore")
def test_a_training_resumes_to_the_bit_in_one_run(traced: Any, expected: Parts, tmp_path: Path) -> None:
    trainer, callback = trainer_of(Parts(traced), tmp_path, Break())
    with pytest.raises(BrokenError):
        trainer.train()
    callback.recording.recorder.close()  # as the end of the process does
    parts = Parts(traced)
    trainer, callback = trainer_of(parts, tmp_path)
    trainer.train(resume_from_checkpoint=True)
    run = require_equal(parts, expected, tmp_path / "runs")
    tail = run.tail()
    assert (tail.total_steps, [e.step for e in tail.evaluations if e.network == "full"]) == (STEPS, [5, 11])
    assert 1 < float(tail.steps.loss[:-1].mean()) < 4
    assert callback.recording.subnetwork is not None
    assert tail.steps.epoch.tolist() == [0] * BREAK + [1] * BREAK


def test_weights_that_would_be_replaced_at_the_end_are_refused(traced: Any, tmp_path: Path) -> None:
    from nasviz.integrations.transformers import NasvizCallback

    parts = Parts(traced)
    callback = NasvizCallback(parts.net, parts.space, runs=tmp_path)
    args: Any = SimpleNamespace(load_best_model_at_end=True)
    state: Any = SimpleNamespace(log_history=[], max_steps=STEPS, global_step=0)
    with pytest.raises(InvalidSettingError, match="load_best_model_at_end"):
        callback.on_train_begin(args, state, transformers.TrainerControl(), optimizer=parts.optimizer)
