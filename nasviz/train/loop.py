"""The training loop: one record per optimizer step. It draws, prints and saves nothing.

Where several processes train together, loss and accuracy are those of the whole batch.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import psutil
import torch
from torch import Tensor

from nasviz.errors import NasvizError, TrainingError
from nasviz.optim.search_optimizer import Judge
from nasviz.runs import StepRecord
from nasviz.subnet.stochastic_depth import StochasticDepth
from nasviz.train.batches import Batch, arguments, epoch_batches, joined, moved, paired_batches
from nasviz.train.mixup import mix
from nasviz.train.objective import (
    AUXILIARY_WEIGHT,
    classification_loss,
    logits_of,
    num_examples,
    own_loss,
)
from nasviz.train.session import Session
from nasviz.train.windows import answer, is_text

__all__ = ["Gauge", "train"]

WINDOW = 16
"""Steps over which throughput is averaged."""
MEMORY_EVERY_S = 0.25


class Gauge:
    """Time, throughput and memory of the steps, as seen from the host."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._process = psutil.Process()
        self._window: deque[tuple[float, int]] = deque(maxlen=WINDOW)
        self._seconds, self._examples = 0.0, 0
        self._last = time.perf_counter()
        self._memory_mb = float("nan")
        self._memory_read = float("-inf")

    def restart(self) -> None:
        """Begin a step now: what went before (an evaluation, a pause) is nobody's time."""
        self._last = time.perf_counter()

    def lap(self, num_examples: int) -> tuple[float, float]:
        """Return seconds since the step before, and examples per second over the last steps."""
        now = time.perf_counter()
        seconds, self._last = now - self._last, now
        if len(self._window) == WINDOW:
            oldest, num_oldest = self._window[0]
            self._seconds, self._examples = self._seconds - oldest, self._examples - num_oldest
        self._window.append((seconds, 0))
        self._seconds += seconds
        return seconds, self.count(num_examples)

    def count(self, num_examples: int) -> float:
        """Return examples per second over the last steps, with so many in the latest."""
        seconds, before = self._window[-1]
        self._window[-1] = seconds, num_examples
        self._examples += num_examples - before
        return self._examples / max(self._seconds, 1e-9)

    @property
    def memory_mb(self) -> float:
        """Peak of the CUDA device, else what the process holds, in MiB; read four times a second."""
        if self._last - self._memory_read >= MEMORY_EVERY_S:
            self._memory_read = self._last
            if self._device.type == "cuda":
                num_bytes = torch.cuda.max_memory_allocated(self._device)
            else:
                num_bytes = self._process.memory_info().rss
            self._memory_mb = num_bytes / 2**20
        return self._memory_mb


def train(session: Session, gauge: Gauge | None = None) -> Iterator[StepRecord]:
    """Yield one record per optimizer step, from where `session` stands to its last step.

    Close the iterator to stop. Between two records the session is whole: it may be saved or evaluated. Loss,
    accuracy and the number of zero groups stay on the device: no step waits for a value.
    """
    gauge = gauge or Gauge(session.device)
    schedule = session.schedule
    while not session.is_finished:
        epoch, start = divmod(session.step, schedule.steps_per_epoch)
        for batches in _batches(session, epoch, start):
            yield _explained_step(session, batches, gauge)
            if session.is_finished:  # a length in steps may end within an epoch
                return


def _batches(session: Session, epoch: int, start: int) -> Iterator[tuple[Batch, ...]]:
    """Return what each step of an epoch takes: a batch, or one of each half of the images."""
    settings, images = session.settings, session.split.train
    options: dict[str, Any] = {
        "seed": settings.seed,
        "epoch": epoch,
        "batch_size": settings.batch_size,
        "start": start,
        "num_workers": settings.num_workers,
        "augmentation": settings.augmentation,
    }
    if session.settings.method.num_batches == 2:
        yield from paired_batches(images, **options)
    else:
        own: dict[str, Any] = {"rank": session.processes.rank, "count": session.processes.count}
        yield from zip(epoch_batches(images, **own, **options))


def _explained_step(session: Session, batches: tuple[Batch, ...], gauge: Gauge) -> StepRecord:
    """Take a step, and turn whatever the network, its loss or torch raises into one sentence.

    Several processes let it pass: a broken connection has to be told from an error.

    Raises:
        TrainingError: The step failed.
    """
    try:
        return _step(session, batches, gauge)
    except NasvizError:
        raise
    except Exception as error:
        if not session.processes.is_alone or "deterministic implementation" in str(error):
            raise
        words = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        remedy = "check the network, its loss and its data"
        if isinstance(error, torch.OutOfMemoryError | MemoryError):
            remedy = f"lower batch_size={session.settings.batch_size}, or take a device with more memory"
        raise TrainingError(f"step {session.step} of the training failed with {words}; {remedy}") from error


def _step(session: Session, batches: tuple[Batch, ...], gauge: Gauge) -> StepRecord:
    optimizer, device = session.optimizer, session.device
    phase, lr = optimizer.phase, float(optimizer.param_groups[0]["lr"])
    session.network.train()
    _schedule_drop_path(session)
    examples = [_Examples(session, *moved(batch, device)) for batch in batches]
    penalty = optimizer.penalty()  # before the step, as loss and accuracy are
    loss, accuracy = optimizer.train_step(examples)
    session.processes.average_([loss, accuracy, *session.running])
    session.scheduler.step()
    session.step += 1
    count = sum(num_examples(inputs) for inputs, _ in batches) * session.processes.count
    seconds, examples_per_second = gauge.lap(count)
    return StepRecord(
        step=session.step - 1,
        epoch=(session.step - 1) // session.schedule.steps_per_epoch,
        phase=phase,
        loss=loss,
        accuracy=accuracy,
        lr=lr,
        seconds=seconds,
        examples_per_second=examples_per_second,
        memory_mb=gauge.memory_mb,
        zero_groups=optimizer.num_zero,
        penalty=float("nan") if penalty is None else penalty,
    )


def _schedule_drop_path(session: Session) -> None:
    """Let the probability of dropping an operation rise evenly with the epochs (ScheduledDropPath)."""
    limit = dict(session.settings.network.settings).get("drop_path")
    schedule = session.schedule
    epoch, place = divmod(session.step, schedule.steps_per_epoch)
    if not limit or (place and session.drop_path_epoch == epoch):
        return
    session.drop_path_epoch = epoch
    for module in session.network.modules():
        if isinstance(module, StochasticDepth):
            module.p = float(limit) * epoch / (schedule.total_steps / schedule.steps_per_epoch)


@dataclass(frozen=True)
class _Examples:
    """A batch on the device: a `nasviz.optim.search_optimizer.Batch`."""

    session: Session
    inputs: Any
    labels: Any

    def loss(self, others: Sequence[_Examples] = ()) -> tuple[Tensor, Tensor]:
        """Run the network as it is now, on the batch mixed with itself where the settings ask for it."""
        session = self.session
        if is_text(self.inputs, self.labels):
            texts, labels = self._all(others)
            found = session.forward(lambda model: answer(model, texts, labels, session.network))
            return _measure(session, texts)(*found)
        inputs, judge = self.joined(others)
        return judge(session.forward(lambda model: model(*inputs)))

    def joined(self, others: Sequence[_Examples]) -> tuple[tuple[Any, ...], Judge]:
        """Return arguments of the network for this batch and others, and how its output is judged."""
        session, settings = self.session, self.session.settings
        inputs, labels = self._all(others)
        measure = _measure(session, inputs)
        if settings.mixup == 0:
            return arguments(session.network, inputs), partial(measure, labels=labels)
        epoch, index = divmod(session.step, session.schedule.steps_per_epoch)
        mixed = mix(inputs, labels, alpha=settings.mixup, seed=settings.seed, epoch=epoch, index=index)
        return (mixed.images,), partial(measure, labels=labels, partners=mixed.partners, share=mixed.share)

    def _all(self, others: Sequence[_Examples]) -> Batch:
        """Return inputs and target of this batch and others."""
        every = (self, *others)
        return joined([each.inputs for each in every]), joined([each.labels for each in every])

    def logits(self, output: Any) -> Tensor:
        """Return the class scores of the main head."""
        return logits_of(output, self.labels.dim() + 1)[0]


def _measure(session: Session, inputs: Any) -> Callable[..., tuple[Tensor, Tensor]]:
    """Return loss and accuracy of an output, by labels: the run's own loss, or cross-entropy."""
    is_scored = session.is_scored
    if session.loss is not None:
        return partial(own_loss, session.loss, inputs=inputs, is_scored=is_scored)
    own = dict(session.settings.network.settings).get("auxiliary") or AUXILIARY_WEIGHT
    smoothing = session.settings.label_smoothing
    return partial(classification_loss, smoothing=smoothing, auxiliary=float(own), is_scored=is_scored)
