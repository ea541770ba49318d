"""Metrics of an evaluation, computed batch by batch by torchmetrics or by the user's own code."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from nasviz.catalog import ACCURACY, Metric, find_metric
from nasviz.errors import DataError, InvalidSettingError, NasvizError
from nasviz.extras import require_package
from nasviz.models.user_code import import_callable
from nasviz.train.objective import IGNORED, scores_of

__all__ = ["ACCURACY_ALONE", "Meter", "Meters", "load_meters", "own_meter"]


@dataclass(frozen=True)
class Meter:
    """A metric, and how it is computed."""

    metric: Metric
    make: Callable[[Any, Any], Any] | None = None
    """Returns an object with `update(output, target)` and `compute()`, from the output and the target of the
    first batch; None for accuracy, which the loss brings along."""


ACCURACY_ALONE = (Meter(ACCURACY),)


def load_meters(metrics: Sequence[Metric | Meter | str], trust: Sequence[str] = ()) -> tuple[Meter, ...]:
    """Return how metrics are computed; those of the user are imported, unless they are given.

    Raises:
        MissingPackageError: torchmetrics is not installed.
        InvalidSettingError: A metric of the user is not there, or no function or class.
    """
    return tuple(_meter(find_metric(m) if isinstance(m, str) else m, trust) for m in metrics)


def _meter(metric: Metric | Meter, trust: Sequence[str]) -> Meter:
    if isinstance(metric, Meter):
        if metric.make is not None:
            return metric
        metric = metric.metric
    if metric == ACCURACY:
        return Meter(metric)
    if not metric.is_own:
        require_package("torchmetrics", f"metric {metric.name}")
        return Meter(metric, lambda output, target: _Listed(metric, output, target))
    with import_callable(metric.name, trust) as found:
        return own_meter(metric, found)


def own_meter(metric: Metric, found: Any) -> Meter:
    """Return how a function or a class of the user computes a metric.

    Raises:
        InvalidSettingError: It is neither.
    """
    if isinstance(found, type) and callable(getattr(found, "update", None)):
        return Meter(metric, lambda output, target: found())
    if isinstance(found, type) or not callable(found):
        kind = "a class without `update`" if isinstance(found, type) else type(found).__name__
        raise InvalidSettingError(
            f"metric {metric.name} is {kind}; give a function of outputs and targets, or a class with"
            " update(output, target) and compute()"
        )
    return Meter(metric, lambda output, target: _Collected(found))


class _Collected:
    """A function of all outputs and targets of a data set."""

    def __init__(self, function: Callable[[Any, Any], Any]) -> None:
        self.function = function
        self._parts: list[tuple[Any, Any]] = []

    def update(self, output: Any, target: Any) -> None:
        self._parts.append(pytree.tree_map_only(Tensor, Tensor.cpu, (output, target)))

    def compute(self) -> Any:
        outputs, targets = pytree.tree_map(_joined, *self._parts)
        return self.function(outputs, targets)


def _joined(*parts: Any) -> Any:
    if not isinstance(parts[0], Tensor):
        return parts[0]
    return torch.cat(parts) if parts[0].dim() else torch.stack(parts)


class _Listed:
    """A metric of torchmetrics; the first batch shows whether it is of classes, of labels or of numbers."""

    def __init__(self, metric: Metric, output: Any, target: Any) -> None:
        name, options = metric.computed_by, dict(metric.arguments)
        scores = _floating(scores_of(output, target))
        if name in vars(require_package("torchmetrics.regression", f"metric {metric.name}")):
            self._task = ""
        elif scores.dim() == target.dim() + 1 and scores.shape[1] > 1:
            self._task = "Multiclass"
            options |= {"num_classes": scores.shape[1], "ignore_index": IGNORED}
        elif scores.dim() == 2 and scores.shape == target.shape and scores.shape[1] > 1:
            self._task, options = "Multilabel", options | {"num_labels": scores.shape[1]}
        elif scores.numel() == target.numel():
            self._task, options = "Binary", {}
        else:
            raise DataError(
                f"metric {metric.name} takes scores (N, classes) and classes (N,), or both of one shape; got"
                f" {tuple(scores.shape)} and {tuple(target.shape)}"
            )
        home = require_package("torchmetrics" + (".classification" if self._task else ".regression"), name)
        if not hasattr(home, self._task + name):
            raise DataError(f"torchmetrics has no {name} for {self._task.lower()} targets")
        self._metric = getattr(home, self._task + name)(**options).to(scores.device)

    def update(self, output: Any, target: Tensor) -> None:
        scores = _floating(scores_of(output, target))
        if self._task == "Multiclass":
            self._metric.update(scores.softmax(dim=1), target)
        elif self._task:
            self._metric.update(scores.reshape(target.shape).sigmoid(), target.long())
        else:
            self._metric.update(scores.reshape(-1), target.reshape(-1).to(scores.dtype))

    def compute(self) -> Any:
        return self._metric.compute()


def _floating(scores: Tensor) -> Tensor:
    return scores if scores.dtype == torch.float64 else scores.float()


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Name the metric in what it raises."""
    try:
        yield
    except NasvizError:
        raise
    except Exception as error:  # the user's code may raise anything
        words = f"{type(error).__name__}: {str(error)[:300]}"
        raise DataError(f"metric {name} raised {words}") from error


class Meters:
    """Metrics of one evaluation."""

    def __init__(self, meters: Sequence[Meter]) -> None:
        self._meters = meters
        self._made: dict[str, Any] = {}

    def update(self, output: Any, target: Any) -> None:
        """Take a batch into account."""
        for meter in self._meters:
            if meter.make is not None:
                name = meter.metric.name
                with _named(name):
                    if name not in self._made:
                        self._made[name] = meter.make(output, target)
                    self._made[name].update(output, target)

    def compute(self, accuracy: float) -> dict[str, float]:
        """Return the value of each metric by name, with the accuracy that the loss brought along.

        Raises:
            DataError: A metric raises an error, or returns no number.
        """
        found: dict[str, float] = {}
        for name in (meter.metric.name for meter in self._meters):
            with _named(name):
                value = accuracy if name not in self._made else self._made[name].compute()
            try:
                found[name] = float(value)
            except (TypeError, ValueError, RuntimeError) as error:
                raise DataError(f"metric {name} returned {value!r:.80}; it must return a number") from error
        return found
