"""What the callbacks of all frameworks share: a recorder that survives a checkpoint of the framework."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from torch import nn
from torch.optim import Optimizer

from nasviz.errors import NasvizError, NasvizWarning
from nasviz.graph import SearchSpace
from nasviz.runs import Store
from nasviz.subnet import Subnetwork
from nasviz.train.watching import LoopRecorder, keywords_of, watch

__all__ = ["Recording"]


class Recording:
    """Recorder of a loop that a framework runs.

    Args:
        net: The traced network, which shares its parameters with the model in training.
        space: Its search space.
        construct: Whether a sub-network is constructed at the end.
        **options: Further arguments of `nasviz.watch`, such as `runs`, `name`, `mirrors` and `validation`.
    """

    def __init__(self, net: nn.Module, space: SearchSpace, *, construct: bool = True, **options: Any) -> None:
        self.net, self.space, self.construct, self.options = net, space, construct, options
        self.metric = keywords_of(options.get("metrics") or ("accuracy",))[0]
        """Keyword of the first metric of an evaluation."""
        self.recorder: LoopRecorder | None = None
        """The recorder, from the beginning of the training on."""
        self.subnetwork: Subnetwork | None = None
        """The sub-network, after the training."""
        self.run_id: str | None = None
        """Id of the run; saved in checkpoints, so that a resumed training goes on with it."""

    def begin(self, optimizer: Optimizer, **lengths: Any) -> LoopRecorder:
        """Begin to record, or go on with the run of the checkpoint unless that has ended."""
        if self.recorder is not None:
            self.recorder.close()  # of a training that ended in an error, in the same process
        run = self.run_id if self._is_open(self.run_id) else None
        recorder = watch(self.net, self.space, optimizer, run=run, **{**lengths, **self.options})
        self.recorder, self.run_id = recorder, recorder.run_id
        return recorder

    def end(self) -> None:
        """End the run: as cancelled after a request, else with its sub-network."""
        if (recorder := self.recorder) is None:
            return
        self.subnetwork = recorder.finish(construct=self.construct)
        self.recorder = None

    def _is_open(self, run_id: str | None) -> bool:
        if run_id is None:
            return False
        try:
            run = Store(Path(self.options.get("runs", "runs"))).open(run_id)
            return run.settings.is_watched and run.state != "done"
        except NasvizError as error:
            warnings.warn(f"run {run_id} is not gone on with: {error}", NasvizWarning, stacklevel=3)
            return False
