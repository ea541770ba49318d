"""From a training step to the record of the run: its row, its vectors, and events in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nasviz.graph import SearchSpace
from nasviz.optim.search_optimizer import SearchOptimizer, most_narrowed
from nasviz.runs import Event, StepRecord, Writer
from nasviz.settings.method import Phase

__all__ = ["MAX_VECTORS", "Recorder", "read_back"]

MAX_VECTORS = 160
"""Score, norm and cosine vectors recorded in each phase, at most: as many columns as a heat map can show."""


def read_back(values: Sequence[Any]) -> list[NDArray[np.floating[Any]]]:
    """Return numbers and vectors as flat arrays; all that lie on one device come in one transfer."""
    tensors: dict[torch.device, list[Tensor]] = {}
    # A number in the memory of the host is read in a tenth of the time that joining it to others takes.
    values = [v.item() if isinstance(v, Tensor) and v.is_cpu and v.dim() == 0 else v for v in values]
    for value in values:
        if isinstance(value, Tensor):
            tensors.setdefault(value.device, []).append(value.detach().reshape(-1))
    fetched: dict[torch.device, NDArray[np.floating[Any]]] = {}
    for device, parts in tensors.items():
        joined = torch.cat(parts)
        # NumPy has no bfloat16.
        fetched[device] = joined.to(torch.promote_types(joined.dtype, torch.float32)).cpu().numpy()
    arrays: list[NDArray[np.floating[Any]]] = []
    starts = dict.fromkeys(tensors, 0)
    for value in values:
        if isinstance(value, Tensor):
            start = starts[value.device]
            starts[value.device] = end = start + value.numel()
            arrays.append(fetched[value.device][start:end])
        else:
            arrays.append(np.asarray(value, np.float64).reshape(-1))
    return arrays


class Recorder:
    """Observes an optimizer step by step and writes what is worth keeping, for any training loop.

    Args:
        optimizer: As it stands before the next step.
        space: Its search space.
        writer: Writer of the run.
        phases: Expected phases, from the first step of the run on.
        step: Index of the next step.
    """

    def __init__(
        self,
        optimizer: SearchOptimizer,
        space: SearchSpace,
        writer: Writer,
        phases: Iterable[Phase] = (),
        step: int = 0,
    ) -> None:
        self.optimizer = optimizer
        self.space = space
        self.writer = writer
        self.step = step
        """Index of the next step."""
        self.phase = optimizer.phase
        """Phase in which the latest step began."""
        self._names = {s.id: s.name for s in space.structures}
        self._zeroed = set(optimizer.zeroed_by)
        self._zeroed_channels = set(optimizer.channels_zeroed_by)
        self._selected = set(optimizer.selected)
        self._num_selections = optimizer.num_selections
        self._intervals: dict[str, tuple[int, int]] = {}
        """First step of each phase, and the number of steps between two of its recorded vectors."""
        start = 0
        for phase in phases:
            self._intervals[phase.name] = start, max(1, phase.num_steps // MAX_VECTORS)
            start += phase.num_steps
        self._hook = optimizer.register_step_pre_hook(self._look_ahead)

    def close(self) -> None:
        """Observe no further step."""
        self._hook.remove()

    def observe(self, record: StepRecord, *, is_last: bool = False) -> list[tuple[int, float]]:
        """Record the step that was just made; return the losses that a flush read back, if there was one."""
        self.look(record.step, record.phase, is_last=is_last)
        return self.write(record)

    def look(self, step: int, phase: str, *, is_last: bool = False) -> None:
        """Record vectors and events of the step that was just made, before its row.

        What became zero is recorded at once where the host knows it, and with the next flush where it has to
        be read from a device.

        Args:
            step: Index of the step.
            phase: Phase in which it began.
            is_last: Whether its vectors are recorded in any case.
        """
        optimizer = self.optimizer
        self.step = step + 1
        has_changed = optimizer.phase != phase
        is_new = optimizer.num_selections > self._num_selections
        self._record_vectors(step, phase, is_last=has_changed or is_last)
        # Later portions of the structures are scored again, in single steps of the projection.
        if is_new and phase != "warm-up" and (scores := optimizer.score_vector) is not None:
            self.writer.scores(step, optimizer.structure_ids, scores)
        self._num_selections = optimizer.num_selections
        selected = [i for i in optimizer.selected if i not in self._selected]
        if is_new and (selected or phase == "warm-up"):
            self._tell_selection(step, phase, selected)
        if is_new:
            self._selected.update(selected)
        if is_new and optimizer.cuts_channels and phase == "warm-up":
            self._tell_channels(step)
        if len(optimizer.known_zero) > len(self._zeroed) or (has_changed and optimizer.cuts_channels):
            self.tell_zero()
        if has_changed and optimizer.phase == "training" and optimizer.selected:
            words = "projection ended: every selected group is zero; training goes on with what is left"
            self.writer.event(step, "phase", words)

    def write(self, record: StepRecord) -> list[tuple[int, float]]:
        """Record the row of a step; return the losses that a flush read back, if there was one."""
        read = self.writer.step(record)
        if read:
            self.tell_zero()
        return read

    def tell_news(self, step: int) -> None:
        """Record what the step has changed in the search; called once after each step."""
        news = self.optimizer.news()
        for kind, text, structure in news.events:
            self.writer.event(step, kind, text, structure)
        for name, value in news.facts.items():
            self.writer.fact(name, value)

    def tell_zero(self) -> None:
        """Record what has become zero since the last time; synchronizes with the device."""
        optimizer = self.optimizer
        reasons, steps = optimizer.zeroed_by, optimizer.zeroed_at
        for structure, reason in reasons.items():
            if structure not in self._zeroed:
                words = f"the group of {self._names[structure]} became zero ({reason})"
                self.writer.event(steps[structure], "zero", words, structure)
        self._zeroed = set(reasons)
        self._tell_zero_channels()

    def _tell_zero_channels(self) -> None:
        """Record the channel groups that have become zero, those of one reason in one event."""
        optimizer = self.optimizer
        reasons, steps = optimizer.channels_zeroed_by, optimizer.channels_zeroed_at
        new = [group for group in reasons if group not in self._zeroed_channels]
        for reason in dict.fromkeys(reasons[group] for group in new):
            groups = [group for group in new if reasons[group] == reason]
            where = most_narrowed(self.space, groups)
            words = f"{len(groups)} channel groups became zero ({reason}){where}"
            self.writer.event(max(steps[group] for group in groups), "zero", words)
        self._zeroed_channels.update(new)

    def recall(self, events: Iterable[Event]) -> None:
        """Take what became zero from the events on record, so that a resumed run adds what is missing."""
        told = {event.structure for event in events if event.kind == "zero"}
        self._zeroed = {i for i in self._zeroed if i in told}

    def _look_ahead(
        self, optimizer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        """Record cosines where it is time: weights and gradient belong together only before a step.

        The gradient is that of a closure, if the step is given one: then its caller gets one that looks.
        """
        self.phase = self.optimizer.phase
        given = [*args[1:], *kwargs.values()]  # torch passes the optimizer itself too
        if len(given) != 1 or not callable(given[0]) or kwargs.keys() - {"closure"}:
            self._record_cosines()
            return None
        closure = given[0]

        def look() -> Any:
            loss = closure()
            self._record_cosines()
            return loss

        return (args[0], look), {}

    def _record_cosines(self) -> None:
        optimizer = self.optimizer
        if not optimizer.structure_ids or not self._is_due(self.step, self.phase):
            return
        if (cosines := optimizer.cosine_vector()) is not None:
            self.writer.cosines(self.step, optimizer.structure_ids, cosines)

    def _is_due(self, step: int, phase: str) -> bool:
        """Return whether vectors are recorded at this step, of a phase in which groups are decided on."""
        if phase == "training":
            return False
        start, interval = self._intervals.get(phase, (0, 1))
        return (step - start) % interval == 0

    def _record_vectors(self, step: int, phase: str, *, is_last: bool) -> None:
        """Record the vectors of the method where it is time for them."""
        optimizer = self.optimizer
        ids = optimizer.structure_ids
        if not ids or phase == "training" or not (is_last or self._is_due(step, phase)):
            return
        write = {"scores": self.writer.scores, "norms": self.writer.norms}
        for table, values in optimizer.vectors(phase).items():
            write[table](step, ids, values)

    def _tell_selection(self, step: int, phase: str, selected: list[int]) -> None:
        """Record what was just selected, and which candidates were passed over and why."""
        optimizer = self.optimizer
        begin = "warm-up ended, selected" if phase == "warm-up" else "selected in another portion"
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

    def _tell_channels(self, step: int) -> None:
        """Record how many channels of which operators were selected."""
        space, channels = self.space, self.optimizer.channels
        words = f"{len(channels)} of {len(space.channels)} channel groups will be cut"
        self.writer.event(step, "selected", words + most_narrowed(space, channels))

    def _tell_kept(self, step: int) -> None:
        """Record which candidates a selection in the hierarchy passed over."""
        optimizer = self.optimizer
        if not self.space.is_valid(optimizer.selected):
            words = "the selection cuts the network apart: no sub-network can be constructed from it"
            self.writer.event(step, "warning", words)
            return
        fates = list(self.space.selection_steps(optimizer.scores, len(optimizer.selected)))
        if {fate.structure for fate in fates if fate.is_accepted} != set(optimizer.selected):
            return  # selected by another rule
        for fate in fates:
            if not fate.is_accepted:
                name = self._names[fate.structure]
                words = f"{name} has the lowest score left ({fate.saliency:.3g}); {fate.reason}"
                self.writer.event(step, "kept", words, fate.structure)

    def _list(self, structures: Iterable[int]) -> str:
        return ", ".join(self._names[structure] for structure in structures)
