"""Lightning: `NasvizCallback` records a training as a run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import nn

from nasviz.graph import SearchSpace
from nasviz.integrations.recording import Recording

__all__ = ["NasvizCallback"]


class NasvizCallback(Callback):
    """Records a training of Lightning, and constructs the sub-network at its end.

    The module's `configure_optimizers` returns an optimizer of `nasviz.optim.create`. Optimizer state,
    selection and zeros are part of Lightning's checkpoints; a resumed training goes on with its run.

    Args:
        net: The traced network, which shares its parameters with the module.
        space: Its search space.
        loss: Name of the logged validation loss.
        accuracy: Name of the logged validation accuracy, or of the first of `metrics`.
        **options: `construct`, and further arguments of `nasviz.watch`.
    """

    def __init__(
        self,
        net: nn.Module,
        space: SearchSpace,
        *,
        loss: str = "val_loss",
        accuracy: str = "val_accuracy",
        **options: Any,
    ) -> None:
        self.recording = Recording(net, space, **options)
        self.names = {"loss": loss, self.recording.metric: accuracy}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to record, once a checkpoint has been restored."""
        total = trainer.estimated_stepping_batches
        length = int(total) if math.isfinite(total) and total > 0 else None
        self.recording.begin(trainer.optimizers[0], total_steps=length)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Record the loss, and stop the training where a person asked for it."""
        recorder = self.recording.recorder
        assert recorder is not None, "the training has begun"
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
        if loss is not None:
            recorder.log(loss=loss, epoch=trainer.current_epoch)
        if recorder.wants_stop:
            trainer.should_stop = True

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Record the logged validation loss and accuracy."""
        found = {key: trainer.callback_metrics.get(name) for key, name in self.names.items()}
        known: dict[str, Any] = {key: float(value) for key, value in found.items() if value is not None}
        if self.recording.recorder is not None and known and not trainer.sanity_checking:
            self.recording.recorder.evaluate(**known)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End the run."""
        self.recording.end()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """End the run as failed, or after an interrupt as cancelled."""
        if self.recording.recorder is not None:
            self.recording.recorder.close(exception)

    def state_dict(self) -> dict[str, Any]:
        """Return what checkpoints keep: the id of the run."""
        return {"run": self.recording.run_id}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the run of a checkpoint."""
        self.recording.run_id = state_dict["run"]
