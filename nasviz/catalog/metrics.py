"""Metrics of an evaluation: their titles and directions, as data. `nasviz.train.metrics` computes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nasviz.catalog.source import CALLABLE
from nasviz.errors import UnknownNameError

__all__ = ["ACCURACY", "METRICS", "Metric", "find_metric", "metric_of"]


@dataclass(frozen=True, slots=True)
class Metric:
    """A number that an evaluation measures."""

    name: str
    title: str
    """Title within a sentence."""
    computed_by: str = ""
    """Class of torchmetrics; that of classes lacks its prefix Binary, Multiclass or Multilabel."""
    arguments: tuple[tuple[str, object], ...] = ()
    higher_is_better: bool = True
    is_share: bool = True
    """Whether 1 is its best value, so that it is shown in percent."""

    @property
    def sign(self) -> float:
        """1 if larger values are better, else -1."""
        return 1.0 if self.higher_is_better else -1.0

    @property
    def capitalized(self) -> str:
        """Title at the beginning of a line."""
        return self.title[:1].upper() + self.title[1:]

    @property
    def label(self) -> str:
        """Name under which `find_metric` finds it."""
        return self.name if not self.is_own or self.higher_is_better else f"{self.name}:min"

    @property
    def is_own(self) -> bool:
        """Return whether it is user code, named `package.module:callable`."""
        return ":" in self.name

    def text(self, value: float | None) -> str:
        """Format a value; a dash for none.

        Examples:
            >>> METRICS["f1"].text(0.8125), METRICS["mse"].text(0.8125), METRICS["r2"].text(None)
            ('81.2%', '0.8125', '—')
        """
        if value is None or value != value:
            return "—"
        return f"{value:.1%}" if self.is_share else f"{value:.4g}"

    def words(self, value: float | None) -> str:
        """Format a value behind the title."""
        return f"{self.title} {self.text(value)}"


_LONGEST_TITLE = 40
_MACRO = (("average", "macro"),)
METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("accuracy", "accuracy"),
        Metric("balanced_accuracy", "balanced accuracy", "Accuracy", _MACRO),
        Metric("f1", "F1", "F1Score", _MACRO),
        Metric("precision", "precision", "Precision", _MACRO),
        Metric("recall", "recall", "Recall", _MACRO),
        Metric("auroc", "AUROC", "AUROC", _MACRO),
        Metric("average_precision", "average precision", "AveragePrecision", _MACRO),
        Metric("miou", "mean IoU", "JaccardIndex", _MACRO),
        Metric("mse", "mean squared error", "MeanSquaredError", (), False, False),
        Metric("rmse", "root mean squared error", "MeanSquaredError", (("squared", False),), False, False),
        Metric("mae", "mean absolute error", "MeanAbsoluteError", (), False, False),
        Metric("r2", "R²", "R2Score", is_share=False),
    )
}
"""Metrics by name; those of classes are macro averages, and of maps of classes over all their pixels."""
ACCURACY = METRICS["accuracy"]


def find_metric(name: str) -> Metric:
    """Return a metric by its name, or one of the user, `package.module:callable`, larger is better.

    With `:min` behind the name of a callable, smaller values are better.

    Raises:
        UnknownNameError: There is no such metric.

    Examples:
        >>> find_metric("f1").title, find_metric("mine:distance:min").higher_is_better
        ('F1', False)
    """
    if (found := METRICS.get(name)) is not None:
        return found
    called, _, direction = name.rpartition(":")
    if direction not in ("min", "max") or ":" not in called:
        called, direction = name, "max"
    if CALLABLE.fullmatch(called):
        title = called.rpartition(":")[2]
        if len(title) > _LONGEST_TITLE:
            title = f"{title[: _LONGEST_TITLE - 1]}…"
        return Metric(called, title, higher_is_better=direction == "max", is_share=False)
    raise UnknownNameError(
        f"no metric {name!r}; choose of {', '.join(METRICS)}, or your own package.module:callable, with :min"
        " behind it if smaller values are better"
    )


def metric_of(facts: Mapping[str, object]) -> Metric:
    """Return the first metric that the facts or the report of a run name; accuracy if they name none.

    They may come from another machine, so what names no metric counts as none.

    Examples:
        >>> metric_of({"metrics": ["f1", "auroc"]}).name, metric_of({}).name
        ('f1', 'accuracy')
    """
    names = facts.get("metrics")
    name = names[0] if isinstance(names, list) and names else None
    return (titled(name) if isinstance(name, str) else None) or ACCURACY


def titled(name: str) -> Metric | None:
    """Return the metric of a name on record; None if it names none."""
    try:
        return find_metric(name)
    except UnknownNameError:
        return None
