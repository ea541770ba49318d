"""Labels of channels: which indices of which values can only be cut together (OTOv2's node groups).

Every filter of a stem gets a label. Where channels meet index by index, in an addition say, their labels
become one. A label that something forbids to cut carries the reason, and gives it to all it becomes one with.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Labelled", "Labels"]


@dataclass(frozen=True, slots=True)
class Labelled:
    """A value of which one axis carries labels."""

    axis: int
    labels: tuple[int, ...]
    """One for each index along the axis; repeats go together."""
    is_zero: bool = True
    """Whether the value is exactly zero at an index whose group is; else it is some constant there."""

    @property
    def size(self) -> int:
        """Length of the axis."""
        return len(self.labels)


class Labels:
    """A disjoint-set forest of labels.

    Examples:
        >>> labels = Labels()
        >>> a, b = labels.new(2), labels.new(2)
        >>> labels.join_all(a, b)
        >>> labels.fix(b[:1], "it leaves the network")
        >>> labels.find(a[1]) == labels.find(b[1]), labels.reason(a[0]), labels.reason(a[1])
        (True, 'it leaves the network', None)
    """

    def __init__(self) -> None:
        self._parent: list[int] = []
        self._reasons: dict[int, tuple[int, str]] = {}

    def new(self, count: int) -> tuple[int, ...]:
        """So many labels, each alone."""
        first = len(self._parent)
        self._parent.extend(range(first, first + count))
        return tuple(range(first, first + count))

    def fixed(self, count: int, reason: str, *, weight: int = 0) -> tuple[int, ...]:
        """So many labels that must not be cut."""
        labels = self.new(count)
        self.fix(labels, reason, weight=weight)
        return labels

    def find(self, label: int) -> int:
        """The label that stands for all that are one with this."""
        parent = self._parent
        while parent[label] != label:
            parent[label] = label = parent[parent[label]]
        return label

    def roots(self) -> list[int]:
        """For each label the one that stands for it."""
        return [self.find(label) for label in range(len(self._parent))]

    def join(self, first: int, second: int) -> None:
        """Make two labels one."""
        first, second = sorted((self.find(first), self.find(second)))
        if first == second:
            return
        self._parent[second] = first
        if second in self._reasons:
            self._give(first, self._reasons.pop(second))

    def join_all(self, first: Iterable[int], second: Iterable[int]) -> None:
        """Make labels one, pair by pair."""
        for one, other in zip(first, second, strict=True):
            if one != other:
                self.join(one, other)

    def fix(self, labels: Iterable[int], reason: str, *, weight: int = 0) -> None:
        """Forbid to cut these; of several reasons the one of the largest weight is told, then the first."""
        for label in set(labels):
            self._give(self.find(label), (weight, reason))

    def reason(self, label: int) -> str | None:
        """Why a label must not be cut; `None` where it may."""
        found = self._reasons.get(self.find(label))
        return found[1] if found else None

    def _give(self, root: int, reason: tuple[int, str]) -> None:
        if root not in self._reasons or reason[0] > self._reasons[root][0]:
            self._reasons[root] = reason
