"""Hugging Face Trainer: `NasvizCallback` records a training as a run."""

from __future__ import annotations

import math
from typing import Any

from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from nasviz.errors import InvalidSettingError
from nasviz.graph import SearchSpace
from nasviz.integrations.recording import Recording

__all__ = ["NasvizCallback"]

_KEY = "nasviz_run"
"""Entry of the log history that names the run: it is saved with each checkpoint."""


class NasvizCallback(TrainerCallback):
    """Records a training of `transformers.Trainer`, and constructs the sub-network at its end.

    Pass `optimizers=(optimizer, scheduler)` to the Trainer, with an optimizer of `nasviz.optim.create`. The
    Trainer reports its loss every `logging_steps`. A resumed training goes on with its run.

    Args:
        net: The traced network, which shares its parameters with the model.
        space: Its search space.
        accuracy: Name of the accuracy, or of the first of `metrics`, in the metrics of an evaluation.
        **options: `construct`, and further arguments of `nasviz.watch`.
    """

    def __init__(
        self, net: nn.Module, space: SearchSpace, *, accuracy: str = "eval_accuracy", **options: Any
    ) -> None:
        self.recording = Recording(net, space, **options)
        self.accuracy = accuracy

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Begin to record, once a checkpoint has been restored."""
        if args.load_best_model_at_end and self.recording.construct:
            raise InvalidSettingError(
                "load_best_model_at_end replaces the weights after the last step, so that what became zero is"
                " not zero any more; set it to False, or give construct=False to the callback"
            )
        history: list[dict[str, Any]] = state.log_history
        self.recording.run_id = next((entry[_KEY] for entry in history if _KEY in entry), None)
        recorder = self.recording.begin(kwargs["optimizer"], total_steps=state.max_steps or None)
        history[:] = [entry for entry in history if _KEY not in entry]
        if recorder.run_id is not None:
            history.append({_KEY: recorder.run_id, "step": state.global_step})

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Record the epoch, and stop the training where a person asked for it."""
        recorder = self.recording.recorder
        if recorder is None:
            return
        recorder.log(epoch=max(0, math.ceil(state.epoch or 0) - 1))  # 1.0 after the last step of the first
        if recorder.wants_stop:
            control.should_training_stop = True

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Record the loss that the Trainer reports."""
        if self.recording.recorder is not None and logs is not None and "loss" in logs:
            self.recording.recorder.log(loss=logs["loss"])

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Record the loss and the accuracy of an evaluation."""
        found = metrics or {}
        if self.recording.recorder is not None and "eval_loss" in found:
            measured: dict[str, Any] = {self.recording.metric: found.get(self.accuracy)}
            self.recording.recorder.evaluate(loss=found["eval_loss"], **measured)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """End the run."""
        self.recording.end()
