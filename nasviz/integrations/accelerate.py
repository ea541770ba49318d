"""Accelerate: `NasvizTracker` records a loop as a run, as a tracker of `Accelerator(log_with=...)`."""

from __future__ import annotations

from typing import Any

from accelerate.tracking import GeneralTracker
from torch import nn
from torch.optim import Optimizer

from nasviz.graph import SearchSpace
from nasviz.integrations.recording import Recording
from nasviz.train.watching import LOGGED

__all__ = ["NasvizTracker"]


class NasvizTracker(GeneralTracker):  # type: ignore[misc]
    """Records a loop of accelerate, and constructs the sub-network in `accelerator.end_training()`.

    `accelerator.init_trackers` begins the run. Register the tracker by
    `accelerator.register_for_checkpointing` and call `load_state` before `init_trackers`, and a resumed loop
    goes on with its run. The values of `accelerator.log` that `LoopRecorder.log` takes are recorded.

    Args:
        net: The traced network.
        space: Its search space.
        optimizer: An optimizer of `nasviz.optim.create`, prepared by accelerate or not.
        **options: `construct`, and further arguments of `nasviz.watch`.
    """

    name = "nasviz"
    requires_logging_directory = False
    main_process_only = False

    def __init__(self, net: nn.Module, space: SearchSpace, optimizer: Optimizer, **options: Any) -> None:
        super().__init__()
        self.recording, self.optimizer = Recording(net, space, **options), optimizer

    @property
    def tracker(self) -> Any:
        """The `LoopRecorder`; ask its `wants_stop` once per step."""
        return self.recording.recorder

    def start(self) -> None:
        """Begin to record."""
        self.recording.begin(self.optimizer)

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        """Do nothing: the settings on record are those of the optimizer."""

    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Record the values that the recorder knows."""
        known = {name: value for name, value in values.items() if name in LOGGED}
        if self.recording.recorder is not None and known:
            self.recording.recorder.log(**known)

    def finish(self) -> None:
        """End the run."""
        self.recording.end()

    def state_dict(self) -> dict[str, Any]:
        """Return what checkpoints keep: the id of the run."""
        return {"run": self.recording.run_id}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the run of a checkpoint."""
        self.recording.run_id = state_dict["run"]
