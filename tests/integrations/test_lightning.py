"""Lightning: a training that breaks and resumes from its checkpoint is the one that never broke."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from nasviz.runs import Store
from tests.integrations.conftest import BREAK, STEPS, BrokenError, Parts, require_equal

pl = pytest.importorskip("lightning.pytorch")


def module_of(parts: Parts, break_at: int | None = None) -> Any:
    class Module(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = parts.net

        def training_step(self, batch: Any, index: int) -> torch.Tensor:
            if self.global_step == break_at:
                raise BrokenError
            return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

        def validation_step(self, batch: Any, index: int) -> None:
            scores = self.net(batch[0])
            self.log("val_loss", nn.functional.cross_entropy(scores, batch[1]))
            self.log("val_accuracy", (scores.argmax(1) == batch[1]).float().mean())

        def configure_optimizers(self) -> Any:
            return parts.optimizer

    return Module()


def fit(parts: Parts, folder: Path, *, break_at: int | None = None, ckpt: str | None = None, **options: Any):
    from nasviz.integrations.lightning import NasvizCallback

    callback = NasvizCallback(parts.net, parts.space, runs=folder / "runs", **options)
    saver = pl.callbacks.ModelCheckpoint(folder / "saved", every_n_epochs=1, save_top_k=-1)
    trainer = pl.Trainer(
        max_epochs=STEPS // BREAK,
        accelerator="cpu",
        callbacks=[callback, saver],
        default_root_dir=folder,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    loader = DataLoader(parts.data, batch_size=8)
    # As in the app: Lightning loads a checkpoint with weights_only.
    trainer.fit(module_of(parts, break_at), loader, loader, ckpt_path=ckpt, weights_only=True)
    return callback


@pytest.mark.filterwarnings("ignore")
def test_a_training_resumes_to_the_bit_in_one_run(traced: Any, expected: Parts, tmp_path: Path) -> None:
    with pytest.raises(BrokenError):
        fit(Parts(traced), tmp_path, break_at=BREAK + 2)
    (broken,) = Store(tmp_path / "runs").list()
    assert broken.state == "failed"
    (ckpt,) = (tmp_path / "saved").glob("*.ckpt")
    parts = Parts(traced)
    callback = fit(parts, tmp_path, ckpt=str(ckpt), name="resumed")
    run = require_equal(parts, expected, tmp_path / "runs")
    assert callback.recording.subnetwork.report.params_after == run.end.result["params_after"]
    tail = run.tail()
    assert tail.total_steps == STEPS
    assert [e.step for e in tail.evaluations if e.network == "full"] == [BREAK - 1, STEPS - 1]
    assert tail.steps.epoch.tolist() == [0] * BREAK + [1] * BREAK
    assert 1 < float(tail.steps.loss.mean()) < 4


@pytest.mark.filterwarnings("ignore")
def test_a_cancel_stops_the_trainer(traced: Any, tmp_path: Path) -> None:
    from nasviz.integrations.lightning import NasvizCallback

    start = NasvizCallback.on_train_start

    def cancel(self: Any, trainer: Any, module: Any) -> None:
        start(self, trainer, module)
        self.recording.recorder.run.request("cancel")

    parts = Parts(traced)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(NasvizCallback, "on_train_start", cancel)
        fit(parts, tmp_path)
    (run,) = Store(tmp_path / "runs").list()
    assert (run.state, parts.optimizer.num_steps) == ("cancelled", 1)
