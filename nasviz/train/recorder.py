"""From a training step to the record of the run: its row, its vectors, and events in words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nasviz.nas import RelaxedOptimizer
from nasviz.optim import PenaltySearch, SearchOptimizer, Slim
from nasviz.runs import StepRecord, Writer
from nasviz.train.channel_words import most_in
from nasviz.train.session import Session

__all__ = ["MAX_VECTORS", "Recorder", "read_back"]

MAX_VECTORS = 256
"""Score, norm and cosine vectors recorded in each phase, at most: as many columns as a heat map can show."""


def read_back(values: list[Any]) -> list[NDArray[np.floating[Any]]]:
    """Numbers and vectors as flat arrays; all that lie on a device come in one transfer."""
    tensors = [value.detach().reshape(-1) for value in values if isinstance(value, Tensor)]
    fetched: NDArray[np.floating[Any]] = np.empty(0)
    if tensors:
        joined = torch.cat(tensors)
        # NumPy has no bfloat16.
        fetched = joined.to(torch.promote_types(joined.dtype, torch.float32)).cpu().numpy()
    arrays: list[NDArray[np.floating[Any]]] = []
    start = 0
    for value in values:
        if isinstance(value, Tensor):
            arrays.append(fetched[start : start + value.numel()])
            start += value.numel()
        else:
            arrays.append(np.asarray(value, np.float64).reshape(-1))
    return arrays


class Recorder:
    """Watches a session step by step and writes what is worth keeping.

    Args:
        session: As it stands before the next step.
        writer: Of its run.
    """

    def __init__(self, session: Session, writer: Writer) -> None:
        self.session = session
        self.writer = writer
        self._names = {s.id: s.name for s in session.space.structures}
        optimizer = session.optimizer
        self._zeroed = set(optimizer.zeroed_by)
        self._zeroed_channels = set(optimizer.channels_zeroed_by) if isinstance(optimizer, Slim) else set()
        self._selected = set(optimizer.selected)
        self._scores = optimizer.score_vector
        schedule = session.schedule
        optimizer.register_step_pre_hook(self._look_ahead)
        self._every = {
            "warm-up": max(1, schedule.warmup_steps // MAX_VECTORS),
            "projection": max(1, schedule.projection_steps // MAX_VECTORS),
            "search": max(1, schedule.total_steps // MAX_VECTORS),
        }

    def observe(self, record: StepRecord) -> list[tuple[int, float]]:
        """Record the step that was just made; what a flush read back, if there was one.

        What became zero is told at once where the host knows it, and with the next flush where it has to be
        read from a device.
        """
        optimizer, step = self.session.optimizer, record.step
        if isinstance(optimizer, RelaxedOptimizer):
            self._weights(optimizer, step)
            return self.writer.step(record)
        has_changed = optimizer.phase != record.phase
        is_scored = self._vectors(optimizer, record, is_last=has_changed)
        is_warm = record.phase == "warm-up" and has_changed
        if is_warm or is_scored:
            selected = [i for i in optimizer.selected if i not in self._selected]
            if is_warm or selected:
                self._tell_selection(record, selected)
            self._selected.update(selected)
        if is_warm and isinstance(optimizer, Slim):
            self._tell_channels(optimizer, step)
        if len(optimizer.known_zero) > len(self._zeroed) or (has_changed and isinstance(optimizer, Slim)):
            self.tell_zero()
        if has_changed and optimizer.phase == "training" and optimizer.selected:
            words = "projection ended: every selected group is zero; training goes on with what is left"
            self.writer.event(step, "phase", words)
        read = self.writer.step(record)
        if read:
            self.tell_zero()
        return read

    def tell_zero(self) -> None:
        """Tell what has become zero since this was last told; the host waits for the device."""
        optimizer = self.session.optimizer
        reasons, steps = optimizer.zeroed_by, optimizer.zeroed_at
        for structure, reason in reasons.items():
            if structure not in self._zeroed:
                words = f"the group of {self._names[structure]} became zero ({reason})"
                self.writer.event(steps[structure], "zero", words, structure)
        self._zeroed = set(reasons)
        if isinstance(optimizer, Slim):
            self._tell_zero_channels(optimizer)

    def _tell_zero_channels(self, optimizer: Slim) -> None:
        """The same for channel groups, all together that have become zero by one reason."""
        reasons, steps = optimizer.channels_zeroed_by, optimizer.channels_zeroed_at
        new = [group for group in reasons if group not in self._zeroed_channels]
        for reason in dict.fromkeys(reasons[group] for group in new):
            groups = [group for group in new if reasons[group] == reason]
            words = (
                f"{len(groups)} channel groups became zero ({reason}){most_in(self.session.space, groups)}"
            )
            self.writer.event(max(steps[group] for group in groups), "zero", words)
        self._zeroed_channels.update(new)

    def _weights(self, optimizer: RelaxedOptimizer, step: int) -> None:
        """What the architecture gives each operation."""
        is_due = step % self._every["search"] == 0 or self.session.is_finished
        if is_due and (weights := optimizer.score_vector) is not None:
            self.writer.scores(step, optimizer.structure_ids, weights)

    def _look_ahead(self, *_: object) -> None:
        """Record cosines where it is time: weights and gradient belong together only before a step."""
        optimizer, step = self.session.optimizer, self.session.step
        if isinstance(optimizer, RelaxedOptimizer) or not optimizer.structure_ids:
            return
        if self._is_due(step, optimizer.phase):
            self.writer.cosines(step, optimizer.structure_ids, optimizer.cosine_vector())

    def _is_due(self, step: int, phase: str) -> bool:
        """Whether vectors are recorded at this step, of a phase in which groups are still decided on."""
        if phase == "training":
            return False
        start = 0 if phase == "warm-up" else self.session.schedule.warmup_steps
        return (step - start) % self._every[phase] == 0

    def _vectors(
        self, optimizer: SearchOptimizer | PenaltySearch, record: StepRecord, *, is_last: bool
    ) -> bool:
        """Record scores and norms where it is time for them; whether the structures were scored anew."""
        step = record.step
        ids, scores = optimizer.structure_ids, optimizer.score_vector
        if not ids or record.phase == "training":
            return False
        is_due = is_last or self._is_due(step, record.phase)
        # Later portions of the structures are scored anew, in single steps of the projection.
        is_new = scores is not None and scores is not self._scores and record.phase == "projection"
        if (is_due and record.phase == "warm-up" and scores is not None) or is_new:
            self.writer.scores(step, ids, scores)
        if is_due:
            norms = optimizer.norm_vector()
            self.writer.norms(step, ids, norms)
            if isinstance(optimizer, PenaltySearch):  # what decides there is the length itself
                self.writer.scores(step, ids, norms)
        self._scores = scores
        return is_new

    def _tell_selection(self, record: StepRecord, selected: list[int]) -> None:
        """What was just selected, and which candidates were passed over and why."""
        optimizer, step = self.session.optimizer, record.step
        begin = "warm-up ended, selected" if record.phase == "warm-up" else "selected in another portion"
        if not selected:
            self.writer.event(step, "selected", "warm-up ended: nothing is selected")
            return
        self._tell_kept(step)
        words = f"{begin}: {self._list(selected)}"
        if optimizer.orphaned:
            words += f"; without input then, and gone too: {self._list(optimizer.orphaned)}"
        self.writer.event(step, "selected", words)
        for structure in selected:
            self.writer.event(step, "redundant", f"{self._names[structure]} will go", structure)

    def _tell_channels(self, optimizer: Slim, step: int) -> None:
        """How many channels of which operators were selected."""
        space = self.session.space
        words = f"{len(optimizer.channels)} of {len(space.channels)} channel groups will be cut"
        words += most_in(space, optimizer.channels)
        self.writer.event(step, "selected", words)

    def _tell_kept(self, step: int) -> None:
        """Which candidates a selection in the hierarchy passed over."""
        session, optimizer = self.session, self.session.optimizer
        if not session.space.is_valid(optimizer.selected):
            words = "the selection cuts the network apart: no sub-network can be constructed from it"
            self.writer.event(step, "warning", words)
            return
        fates = list(session.space.selection_steps(optimizer.scores, len(optimizer.selected)))
        if {fate.structure for fate in fates if fate.is_accepted} != set(optimizer.selected):
            return  # selected by another rule
        for fate in fates:
            if not fate.is_accepted:
                name = self._names[fate.structure]
                words = f"{name} has the lowest score left ({fate.saliency:.3g}); {fate.reason}"
                self.writer.event(step, "kept", words, fate.structure)

    def _list(self, structures: Iterable[int]) -> str:
        return ", ".join(self._names[structure] for structure in structures)
